from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.exact.averages import linear, model_stock, passthrough

WEIGHTS = {"weight": [0.3, 0.5, 1, 0.0, -0.4, 0.7]}


@pytest.mark.parametrize("normalize", [True, False])
def test_linear_has_mergekits_bits(compare: Callable[..., int], normalize: bool) -> None:
    shared = {"normalize": normalize}
    assert compare("linear", shared, (1, 2, 3, 6), own=WEIGHTS, based=False) == 88


@pytest.mark.parametrize("scale", [None, 1.0, 0.5, 0.0])
def test_passthrough_has_mergekits_bits(compare: Callable[..., int], scale: float | None) -> None:
    assert compare("passthrough", {"scale": [scale]}, (1,), based=False) == 88


@pytest.mark.parametrize("filter_wise", [True, False])
def test_model_stock_has_mergekits_bits(compare: Callable[..., int], filter_wise: bool) -> None:
    assert compare("model_stock", {"filter_wise": filter_wise}, (2, 3, 5)) == 88


def test_linear_is_a_weighted_mean() -> None:
    tensors = [torch.randn(4, 3) for _ in range(3)]
    found = linear(tensors, None, {"weight": [1.0, 2.0, 0.5], "normalize": True})
    expected = np.average(torch.stack(tensors).numpy(), axis=0, weights=[1.0, 2.0, 0.5])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_linear_adds_up_in_float32() -> None:
    tensors = [torch.full((5,), x, dtype=torch.float16) for x in (60_000.0, 60_000.0, -60_000.0)]
    found = linear(tensors, None, {"weight": [1.0] * 3, "normalize": False})
    assert found.dtype == torch.float16
    assert found.tolist() == [tensors[0][0].item()] * 5


def test_weights_that_cancel_give_no_finite_number() -> None:
    tensors = [torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0])]
    found = linear(tensors, None, {"weight": [1.0, -1.0], "normalize": True})
    assert found.isnan().tolist() == [True, False]
    assert found[1].item() == float("inf")


def test_passthrough_without_a_scale_gives_the_tensor_itself() -> None:
    tensor = torch.randn(3)
    assert passthrough([tensor], None, {}) is tensor
    assert passthrough([tensor], None, {"scale": [None]}) is tensor  # type: ignore[dict-item]
    assert torch.equal(passthrough([tensor], None, {"scale": [2.0]}), 2 * tensor)


def _stock(base: np.ndarray[Any, Any], models: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    k, deltas = len(models), [x - base for x in models]
    cosines = [
        a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        for i, a in enumerate(deltas)
        for b in deltas[i + 1 :]
    ]
    c = float(np.mean(cosines))
    t = k * c / (1 + (k - 1) * c)
    return np.asarray(t * np.mean(models, axis=0) + (1 - t) * base)


def test_model_stock_is_the_papers_formula_of_each_row() -> None:
    base = torch.randn(4, 9, dtype=torch.float64)
    models = [base + torch.randn(4, 9) + 1 for _ in range(3)]
    whole = _stock(base.flatten().numpy(), [x.flatten().numpy() for x in models])
    found = model_stock(models, base, {"filter_wise": False})
    np.testing.assert_allclose(found.flatten().numpy(), whole)
    rows = [_stock(base[i].numpy(), [x[i].numpy() for x in models]) for i in range(4)]
    found = model_stock(models, base, {"filter_wise": True})
    np.testing.assert_allclose(found.numpy(), np.stack(rows))


def test_model_stock_stays_at_the_base_if_changes_have_nothing_in_common() -> None:
    base, change = torch.randn(6), torch.eye(6)
    found = model_stock([base + change[0], base + change[1]], base, {"filter_wise": False})
    torch.testing.assert_close(found, base)


def test_another_number_of_models_is_refused() -> None:
    with pytest.raises(IncompatibleModelsError, match="passthrough merges 1 models, got 2"):
        passthrough([torch.ones(2)] * 2, None, {})
    with pytest.raises(IncompatibleModelsError, match="merges at least 2 models, got 1"):
        model_stock([torch.ones(2)], torch.ones(2), {"filter_wise": False})
    with pytest.raises(RecipeError, match="model_stock needs a base model"):
        model_stock([torch.ones(2)] * 2, None, {"filter_wise": False})

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from alnico.errors import RecipeError
from alnico.methods import methods

arcee_fusion = methods["arcee_fusion"]


@pytest.mark.parametrize("shape", [(20,), (10, 20), (4, 5, 3, 3)])
def test_it_is_mergekits(mergekit: Callable, family: Callable, shape: tuple[int, ...]) -> None:
    base, models = family(1, *shape)
    expected = mergekit(models, "arcee_fusion", base)
    torch.testing.assert_close(base + arcee_fusion(models - base, base=base), expected)


def test_it_takes_over_what_is_an_outlier_of_importance() -> None:
    base, delta = np.random.default_rng(0).normal(size=(2, 40, 50))
    model, start = (softmax(x, axis=-1) + 1e-8 for x in (base + delta, base))
    importance = np.abs(delta) * rel_entr(model, start).sum(-1, keepdims=True)
    low, median, high = np.quantile(importance, [0.25, 0.5, 0.75], method="lower")
    expected = np.where(importance >= median + 1.5 * (high - low), delta, 0.0)
    found = arcee_fusion(torch.from_numpy(delta)[None], base=torch.from_numpy(base))
    np.testing.assert_array_equal(found.numpy(), expected)
    assert 0.02 < (expected != 0).mean() < 0.2


def test_of_a_large_tensor_the_quartiles_are_those_of_a_part_of_every_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base, delta = torch.zeros(400, 64), torch.randn(1, 400, 64)
    delta[:, :, ::8] *= 20  # a stride of 8 or 16 would see these columns, and hardly any other
    exact = arcee_fusion(delta, base=base) != 0
    module = arcee_fusion.function.__globals__
    monkeypatch.setitem(module, "SAMPLE", 400 * 64 // 15)
    sampled = arcee_fusion(delta, base=base) != 0
    assert torch.equal(sampled, arcee_fusion(delta, base=base) != 0)
    assert (sampled != exact).float().mean() < 0.02


def test_without_a_base_it_is_refused() -> None:
    with pytest.raises(RecipeError, match="arcee_fusion needs the base's values"):
        arcee_fusion(torch.randn(1, 3))

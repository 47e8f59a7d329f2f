from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.errors import RecipeError
from alnico.methods import methods

model_stock = methods["model_stock"]


@pytest.mark.parametrize("shape", [(), (20,), (10, 20), (4, 5, 3, 3)])
@pytest.mark.parametrize("filter_wise", [True, False])
def test_it_is_mergekits(
    mergekit: Callable, family: Callable, shape: tuple[int, ...], filter_wise: bool
) -> None:
    base, models = family(3, *shape)
    models = models + torch.randn(shape)  # changes that agree a little
    expected = mergekit(models, "model_stock", base, filter_wise=filter_wise)
    found = base + model_stock(models - base, filter_wise=filter_wise)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_of_two_models_it_is_the_papers_ratio() -> None:
    deltas = torch.tensor([[1.0, 0.0], [1.0, 3**0.5]])  # 60 degrees apart: 2 c / (1 + c) is 2 / 3
    for scale in (1.0, 1e-6):
        found = model_stock(scale * deltas)
        torch.testing.assert_close(found, scale * deltas.mean(0) * 2 / 3)
    assert model_stock(torch.eye(2)).tolist() == [0.0, 0.0]


def test_each_row_has_its_own_ratio_filter_wise() -> None:
    deltas = torch.randn(3, 4, 5)
    rows = [model_stock(deltas[:, i]) for i in range(4)]
    torch.testing.assert_close(model_stock(deltas, filter_wise=True), torch.stack(rows))


@pytest.mark.parametrize("filter_wise", [True, False])
def test_changes_that_cancel_or_are_none_leave_the_base(filter_wise: bool) -> None:
    a = torch.randn(3, 4)
    for stack in (torch.stack([a, -a]), torch.stack([a, 0 * a]), torch.zeros(3, 3, 4)):
        assert not model_stock(stack, filter_wise=filter_wise).any()


def test_one_model_is_refused() -> None:
    with pytest.raises(RecipeError, match="model_stock merges 2 or more models, got 1"):
        model_stock(torch.randn(1, 4))

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from alnico.errors import RecipeError
from alnico.merging import merge_states
from alnico.methods import methods

task_arithmetic = methods["task_arithmetic"]


@pytest.mark.parametrize("shape", [(), (7,), (4, 6), (2, 3, 4)])
def test_it_is_pefts_formula(peft_merges: ModuleType, shape: tuple[int, ...]) -> None:
    deltas, weight = torch.randn(3, *shape), torch.tensor([0.5, -1.0, 2.0])
    expected = peft_merges.task_arithmetic(list(deltas), weight)
    torch.testing.assert_close(task_arithmetic(deltas, weight=weight), expected)
    torch.testing.assert_close(task_arithmetic(deltas, weight=weight, scale=0.3), 0.3 * expected)


def test_a_scale_of_one_over_k_is_the_average_of_the_models() -> None:
    base, *models = ({"x": torch.randn(4, 5)} for _ in range(5))
    merged = merge_states(models, "task_arithmetic", base=base, scale=0.25)
    torch.testing.assert_close(merged, merge_states(models, "linear"))


def test_a_negative_weight_takes_away_what_a_positive_one_adds() -> None:
    base, model = {"x": torch.randn(6)}, {"x": torch.randn(6)}
    merged = merge_states([model, model], "task_arithmetic", base=base, weight=[1.0, -1.0])
    torch.testing.assert_close(merged, base)


def test_the_gradient_in_weight_is_that_of_the_formula() -> None:
    deltas = torch.randn(3, 4, dtype=torch.float64)
    weight = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: task_arithmetic(deltas, weight=w), [weight])


@pytest.mark.parametrize("normalize", [True, False])
def test_it_is_mergekits(mergekit: Callable, family: Callable, normalize: bool) -> None:
    base, models = family(3, 10, 20)
    weight, ours = [1.0, 0.5, -0.25], "weights" if normalize else "none"
    expected = mergekit(
        models, "task_arithmetic", base, weight=weight, normalize=normalize, **{"lambda": 0.5}
    )
    found = task_arithmetic(models - base, weight=weight, normalize=ours, scale=0.5)
    torch.testing.assert_close(base + found, expected)


def test_weights_that_cancel_cannot_be_divided_by_and_those_of_nothing_change_nothing() -> None:
    with pytest.raises(RecipeError, match="the weights sum to 0, got") as error:
        task_arithmetic(torch.randn(2, 3), weight=[1.0, -1.0], normalize="weights")
    assert 'normalize="none"' in str(error.value)
    assert task_arithmetic(torch.randn(2, 1), weight=0.0, normalize="weights").item() == 0.0

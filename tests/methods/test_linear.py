from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from alnico.errors import RecipeError
from alnico.merging import merge_states
from alnico.methods import methods

linear = methods["linear"]


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4)])
def test_it_is_numpys_weighted_average(shape: tuple[int, ...]) -> None:
    stack, weight = torch.randn(4, *shape, dtype=torch.float64), [0.5, 2.0, -0.25, 1.0]
    expected = np.average(stack.numpy(), axis=0, weights=weight)
    np.testing.assert_allclose(linear(stack, weight=weight).numpy(), expected, rtol=1e-12)


def test_equal_weights_are_torchs_averaged_model() -> None:
    models = [nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)) for _ in range(5)]
    averaged = AveragedModel(models[0])
    for model in models:
        averaged.update_parameters(model)
    merged = merge_states([model.state_dict() for model in models])
    for name, tensor in averaged.module.state_dict().items():
        torch.testing.assert_close(merged[name], tensor)


def test_without_normalize_it_is_the_weighted_sum() -> None:
    stack = torch.randn(3, 4)
    found = linear(stack, weight=[1.0, -1.0, 0.0], normalize=False)
    torch.testing.assert_close(found, stack[0] - stack[1])


@pytest.mark.parametrize("weight", [[1.0, -1.0, 0.0], [0.1, 0.2, -0.3], 0.0])
def test_weights_that_sum_to_nothing_are_refused(weight: list[float] | float) -> None:
    with pytest.raises(RecipeError, match="the weights sum to 0, got") as error:
        linear(torch.randn(3, 2), weight=weight)
    assert "normalize=False" in str(error.value)


def test_the_gradient_in_weight_is_that_of_the_formula() -> None:
    stack = torch.randn(3, 4, dtype=torch.float64)
    weight = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: linear(stack, weight=w), [weight])


@pytest.mark.parametrize("normalize", [True, False])
def test_it_is_mergekits(mergekit: Callable, family: Callable, normalize: bool) -> None:
    _, models = family(3, 10, 20)
    weight = [1.0, 0.5, -0.25]
    expected = mergekit(models, "linear", weight=weight, normalize=normalize)
    torch.testing.assert_close(linear(models, weight=weight, normalize=normalize), expected)

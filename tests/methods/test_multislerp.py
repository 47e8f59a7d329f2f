from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.methods import methods

multislerp = methods["multislerp"]


@pytest.mark.parametrize("shape", [(20,), (10, 20), (4, 5, 3, 3)])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("weight", [[1.0, 0.5, 2.0], [1.0, 0.5, -0.25]])
def test_it_is_mergekits(
    mergekit: Callable,
    family: Callable,
    shape: tuple[int, ...],
    normalize: bool,
    weight: list[float],
) -> None:
    base, models = family(3, *shape)
    for root in (None, base):
        start = torch.zeros(()) if root is None else base
        expected = mergekit(models, "multislerp", root, weight=weight, normalize_weights=normalize)
        found = multislerp(models - start, weight=weight, normalize=normalize, epsilon=1e-8)
        torch.testing.assert_close(start + found, expected, rtol=1e-5, atol=1e-5)


def test_between_two_directions_of_one_length_it_is_slerp() -> None:
    stack = torch.randn(2, 30)
    stack = 3 * stack / stack.norm(dim=1, keepdim=True)
    torch.testing.assert_close(multislerp(stack), methods["slerp"](stack))


def test_on_a_circle_angles_and_lengths_are_averaged_apart() -> None:
    angle, length = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([1.0, 2.0, 6.0])
    stack = length[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    expected = 3 * torch.tensor([0.5, 0.5]).cos() * torch.tensor([1.0, 0.5463025])  # tan(0.5)
    torch.testing.assert_close(multislerp(stack), expected)


def test_directions_that_cancel_are_averaged_straight() -> None:
    a = torch.randn(3, 4)
    torch.testing.assert_close(multislerp(torch.stack([a, -3 * a])), -a)
    torch.testing.assert_close(multislerp(torch.stack([a, -0.7 * a])), 0.15 * a)
    turned = torch.tensor([0.0, 2 * torch.pi / 3, 4 * torch.pi / 3])
    corners = torch.stack([turned.cos(), turned.sin()], 1)
    torch.testing.assert_close(multislerp(corners), corners.mean(0))
    assert multislerp(torch.zeros(3, 2)).tolist() == [0.0, 0.0]
    assert multislerp(torch.tensor([[2.0, 0.0], [0.0, 0.0]])).tolist() == [1.0, 0.0]


def test_nan_stays_where_it_was() -> None:
    found = multislerp(torch.tensor([[1.0, 2.0, torch.nan], [3.0, -1.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([2.0, 0.5, torch.nan]), equal_nan=True)


def test_the_gradient_in_weight_is_that_of_the_formula() -> None:
    stack = torch.randn(3, 8, dtype=torch.float64)
    weight = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: multislerp(stack, weight=w), [weight])

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from alnico.methods import methods

karcher = methods["karcher"]


@pytest.mark.parametrize("shape", [(20,), (10, 20), (4, 5, 3, 3)])
@pytest.mark.parametrize("settings", [{}, {"max_iter": 1}])
def test_it_is_mergekits(
    mergekit: Callable, family: Callable, shape: tuple[int, ...], settings: dict
) -> None:
    for k in (1, 2, 5):
        _, models = family(k, *shape)
        expected = mergekit(models, "karcher", **settings)
        torch.testing.assert_close(karcher(models, **settings), expected, rtol=1e-5, atol=1e-5)


def test_the_squared_angles_to_the_models_have_their_least_sum_there() -> None:
    stack = torch.randn(4, 6, dtype=torch.float64) + 1
    unit = stack / stack.norm(dim=1, keepdim=True)

    def cost(direction: torch.Tensor) -> float:
        return float((unit @ (direction / direction.norm())).acos().square().sum())

    found = karcher(stack, max_iter=100, tolerance=1e-12)
    assert found.norm().item() == pytest.approx(stack.norm(dim=1).mean().item())
    least = cost(found)
    assert least < cost(unit.mean(0))
    for seed in range(50):
        step = np.random.default_rng(seed).normal(size=6)
        assert cost(found + 1e-3 * torch.from_numpy(step)) > least


def test_between_two_unit_quaternions_it_is_the_mean_rotation_of_scipy() -> None:
    pair = Rotation.from_rotvec([[0.1, 0.4, -0.2], [0.3, 0.1, 0.5]])
    found = karcher(torch.from_numpy(pair.as_quat())).numpy()
    expected = pair.mean().as_quat()
    np.testing.assert_allclose(found * np.sign(found @ expected), expected, atol=1e-9)


def test_a_tensor_of_zeros_has_no_direction_but_a_length() -> None:
    stack = torch.randn(2, 30)
    with_zeros = torch.cat([stack, torch.zeros(1, 30)])
    torch.testing.assert_close(karcher(with_zeros), karcher(stack) * 2 / 3)
    assert karcher(torch.zeros(3, 2)).tolist() == [0.0, 0.0]


def test_directions_that_cancel_are_averaged_straight() -> None:
    a = torch.randn(3, 4)
    torch.testing.assert_close(karcher(torch.stack([a, -3 * a])), -a)
    found = karcher(torch.stack([a, -a, a]))
    torch.testing.assert_close(found, a)  # no arc leads to the opposite one


def test_nan_stays_where_it_was() -> None:
    found = karcher(torch.tensor([[1.0, 2.0, torch.nan], [3.0, -1.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([2.0, 0.5, torch.nan]), equal_nan=True)

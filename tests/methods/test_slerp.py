from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from alnico.errors import RecipeError
from alnico.methods import methods

slerp = methods["slerp"]


@pytest.mark.parametrize("t", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_between_unit_quaternions_it_is_scipys(t: float) -> None:
    for seed in range(20):
        pair = np.random.default_rng(seed).normal(size=(2, 4))
        pair /= np.linalg.norm(pair, axis=1, keepdims=True)
        if pair[0] @ pair[1] < 0:  # a rotation is two quaternions; scipy takes the nearer one
            pair[1] *= -1
        expected = Slerp([0, 1], Rotation.from_quat(pair))(t).as_quat()
        found = slerp(torch.from_numpy(pair), t=t).numpy()
        np.testing.assert_allclose(found * np.sign(found @ expected), expected, atol=1e-9)


def test_the_whole_tensor_is_one_vector_and_length_does_not_shrink() -> None:
    stack = torch.randn(2, 30, 40)
    stack = stack / stack.flatten(1).norm(dim=1)[:, None, None]
    assert slerp(stack).norm().item() == pytest.approx(1.0, abs=1e-5)
    assert stack.mean(0).norm().item() < 0.75
    torch.testing.assert_close(slerp(stack).flatten(), slerp(stack.flatten(1)))


def test_tensors_without_direction_are_joined_by_a_straight_line() -> None:
    a = torch.randn(3, 4)
    torch.testing.assert_close(slerp(torch.stack([a, 0 * a]), t=0.25), 0.75 * a)
    torch.testing.assert_close(slerp(torch.stack([a, -a]), t=0.25), 0.5 * a)
    torch.testing.assert_close(slerp(torch.stack([a, 1.01 * a]), t=0.5), 1.005 * a)
    assert slerp(torch.zeros(2, 3)).tolist() == [0.0] * 3


def test_nan_stays_where_it_was() -> None:
    stack = torch.tensor([[1.0, 2.0, torch.nan], [3.0, -1.0, 1.0]])
    torch.testing.assert_close(slerp(stack), torch.tensor([2.0, 0.5, torch.nan]), equal_nan=True)


def test_three_models_are_refused() -> None:
    with pytest.raises(RecipeError, match="slerp merges 2 models, got 3"):
        slerp(torch.randn(3, 4))


@pytest.mark.parametrize("shape", [(20,), (10, 20), (4, 5, 3, 3)])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_it_is_mergekits(
    mergekit: Callable, family: Callable, shape: tuple[int, ...], t: float
) -> None:
    base, (model,) = family(1, *shape)
    expected = mergekit([model], "slerp", base, t=t)
    torch.testing.assert_close(slerp(torch.stack([base, model]), t=t), expected)

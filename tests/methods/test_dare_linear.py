from __future__ import annotations

import pytest
import torch

from alnico.methods import methods
from alnico.tensors import noise

dare_linear = methods["dare_linear"]


def test_what_is_kept_is_divided_by_its_probability() -> None:
    deltas = torch.randn(2, 50, 40)
    found = dare_linear(deltas, weight=[1.0, 0.0], density=0.25)
    kept = found != 0
    torch.testing.assert_close(found[kept], 4 * deltas[0][kept])
    assert 0.2 < kept.float().mean() < 0.3


def test_the_mean_over_many_draws_is_task_arithmetic() -> None:
    deltas, weight, density = torch.randn(3, 20), [1.0, -0.5, 2.0], [0.3, 0.5, 0.9]
    draws = []
    for seed in range(2000):
        with noise.keyed(seed, "x"):
            draws.append(dare_linear(deltas, weight=weight, density=density, scale=0.5))
    expected = methods["task_arithmetic"](deltas, weight=weight, scale=0.5)
    error = torch.stack(draws).std(0) / 2000**0.5
    assert ((torch.stack(draws).mean(0) - expected).abs() < 5 * error).all()


def test_each_model_and_each_tensor_has_draws_of_its_own() -> None:
    deltas = torch.ones(2, 400)
    first, second = (dare_linear(deltas, weight=w) for w in ([1.0, 0.0], [0.0, 1.0]))
    with noise.keyed(0, "another"):
        other = dare_linear(deltas, weight=[1.0, 0.0])
    for a, b in ((first, second), (first, other)):
        assert 0.35 < (a == b).float().mean() < 0.65


@pytest.mark.parametrize("rescale", ["none", "inverse", "l1"])
def test_a_density_of_one_keeps_everything_and_of_zero_nothing(rescale: str) -> None:
    deltas = torch.randn(2, 30)
    found = dare_linear(deltas, density=[1.0, 0.0], rescale=rescale)
    torch.testing.assert_close(found, deltas[0])


def test_the_sum_of_magnitudes_is_given_back_or_the_change_left_as_it_is() -> None:
    delta = torch.randn(1, 200)
    given_back = dare_linear(delta, density=0.3, rescale="l1")
    torch.testing.assert_close(given_back.abs().sum(), delta.abs().sum())
    plain = dare_linear(delta, density=0.3, rescale="none")
    assert torch.equal(plain, torch.where(given_back != 0, delta[0], 0.0))

from __future__ import annotations

import torch

from alnico.methods import methods
from alnico.tensors import noise

della_linear = methods["della_linear"]


def test_what_is_kept_is_divided_by_the_probability_of_its_rank() -> None:
    delta = torch.randn(1, 30, 11)
    rank = delta[0].abs().argsort(dim=1).argsort(dim=1)
    probability = 0.5 - 0.2 + 0.4 * rank / 10
    found = della_linear(delta, spread=0.2)
    kept = found != 0
    assert 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(found[kept], (delta[0] / probability)[kept])


def test_the_mean_over_many_draws_is_task_arithmetic() -> None:
    deltas, weight = torch.randn(3, 20), [1.0, -0.5, 2.0]
    draws = []
    for seed in range(2000):
        with noise.keyed(seed, "x"):
            draws.append(della_linear(deltas, weight=weight, density=[0.3, 0.5, 0.7]))
    expected = methods["task_arithmetic"](deltas, weight=weight)
    error = torch.stack(draws).std(0) / 2000**0.5
    assert ((torch.stack(draws).mean(0) - expected).abs() < 5 * error).all()


def test_without_spread_it_is_dare() -> None:
    deltas = torch.randn(2, 8, 9)
    found = della_linear(deltas, density=0.3, spread=0.0, normalize="weights")
    expected = methods["dare_linear"](deltas, density=0.3, normalize="weights")
    torch.testing.assert_close(found, expected)

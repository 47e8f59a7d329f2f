from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
import torch
from torch import Tensor

from alnico.errors import RecipeError
from alnico.merging.exact.sparsify import largest, middle, random, ranked

Keep: TypeAlias = Callable[[Tensor, float, float, bool], Tensor]
RULES: list[Keep] = [largest, middle, random, ranked]


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 0.99])
def test_the_largest_share_stays_and_at_least_one(density: float) -> None:
    delta = torch.randn(7, 9)
    kept = largest(delta, density, 0.0, False)
    order = sorted(delta.flatten().tolist(), key=abs, reverse=True)
    expected = order[: max(1, int(density * 63))]
    assert sorted(kept[kept != 0].tolist()) == sorted(expected)
    assert torch.equal(kept[kept != 0], delta[kept != 0])


@pytest.mark.parametrize(
    ("density", "gamma", "n_top", "n_kept"),
    [(0.5, 0.1, 10, 50), (0.1, 0.0, 0, 10), (0.9, 0.3, 10, 90), (0.0, 0.1, 0, 0)],
)
def test_the_middle_leaves_out_both_ends(
    density: float, gamma: float, n_top: int, n_kept: int
) -> None:
    delta = torch.randn(10, 10)
    kept = middle(delta, density, gamma, False)
    order = sorted(delta.flatten().tolist(), key=abs, reverse=True)
    assert sorted(kept[kept != 0].tolist()) == sorted(order[n_top : n_top + n_kept])


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_chances_are_kept(density: float) -> None:
    n_entries = 40_000
    delta = torch.randn(100, 400)
    spread = 4 * (density * (1 - density) / n_entries) ** 0.5
    for kept in (random(delta, density, 0.0, False), ranked(delta, density, 0.05, False)):
        assert (kept != 0).float().mean().item() == pytest.approx(density, abs=spread)
        assert torch.equal(kept[kept != 0], delta[kept != 0])


@pytest.mark.parametrize("shape", [(10_000,), (500, 20), (50, 20, 2, 5)])
def test_larger_entries_of_a_row_are_likelier_to_stay(shape: tuple[int, ...]) -> None:
    """Along dimension 1 the smallest stays with chance 0.2, the largest with 0.8."""
    delta = torch.randn(shape)
    is_kept = ranked(delta, 0.5, 0.3, False) != 0
    rows = delta.unsqueeze(0) if delta.ndim == 1 else delta
    order = rows.abs().argsort(dim=1)
    by_rank = is_kept.reshape(rows.shape).float().gather(1, order).movedim(1, 0).flatten(1)
    n_tenth = len(by_rank) // 10
    low, high = by_rank[:n_tenth].mean().item(), by_rank[-n_tenth:].mean().item()
    step = 0.6 / (len(by_rank) - 1) * (n_tenth - 1) / 2
    assert low == pytest.approx(0.2 + step, abs=0.06)
    assert high == pytest.approx(0.8 - step, abs=0.06)


def test_a_convolution_is_ranked_along_its_inputs() -> None:
    """With epsilon near the density, the smallest along dimension 1 hardly ever stays."""
    delta = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1).expand(200, 2, 3, 3)
    kept = ranked(delta, 0.5, 0.4999, False)
    assert (kept[:, 0] != 0).float().mean() < 0.01
    assert (kept[:, 1] != 0).float().mean() > 0.99


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rescaling_keeps_the_sum_of_magnitudes(rule: Keep, dtype: torch.dtype) -> None:
    delta = torch.randn(40, 30, dtype=dtype)
    kept = rule(delta, 0.4, 0.1, True)
    assert kept.dtype == dtype
    assert kept.abs().sum().item() == pytest.approx(delta.abs().sum().item(), rel=1e-5)
    tiny = rule(delta * 1e-12, 0.4, 0.1, True)
    assert tiny.abs().sum() < 0.9 * delta.abs().sum() * 1e-12, "tiny sums are left as they are"


@pytest.mark.parametrize("rule", RULES)
def test_a_density_of_one_keeps_everything_and_draws_nothing(rule: Keep) -> None:
    delta, state = torch.randn(5, 6), torch.get_rng_state()
    assert rule(delta, 1.0, 0.1, True) is delta
    assert torch.equal(torch.get_rng_state(), state)


def test_a_density_of_zero_keeps_nothing() -> None:
    delta = torch.tensor([[1.0, float("inf")]])
    assert largest(delta, 0.0, 0.0, True).tolist() == [[0.0, 0.0]]
    assert ranked(delta, 0.0, 0.1, True).tolist() == [[0.0, 0.0]]
    assert not random(torch.randn(100), 0.0, 0.0, False).any()


def test_chances_out_of_range_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"must not be negative, got -0.1"):
        random(torch.ones(3), -0.1, 0.0, False)
    for density, epsilon in ((0.1, 0.15), (0.9, 0.15), (0.15, 0.15)):
        with pytest.raises(RecipeError, match=f"density {density} and epsilon {epsilon}"):
            ranked(torch.ones(3), density, epsilon, False)


@pytest.mark.parametrize("shape", [(), (1,), (4, 1), (0,), (0, 3), (3, 2, 0)])
def test_rows_too_short_to_be_ranked_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match="ranks entries along dimension 1"):
        ranked(torch.ones(shape), 0.5, 0.1, False)

from __future__ import annotations

from typing import Any, Self

import pytest
import torch
from torch import Tensor

from alnico.fusing.leaning import leaning
from alnico.structures import Average, Concat, Learned, Parts, Structure
from alnico.types import Task

REGRESSION = Task("regression")
TWO = Task("binary", ("no", "yes"))
N = 400


def logits_of(*members: Tensor) -> Parts:
    """Members that say numbers, and have no features."""
    return Parts(torch.stack(members), tuple(torch.zeros(N, 0) for _ in members))


class OnFeatures(Structure):
    """The sum of all features; logits are not read."""

    name = "on features"

    @classmethod
    def learn(cls, parts: Parts, target: Tensor, task: Task) -> Learned[Self]:
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, Any]:
        return {}

    def forward(self, parts: Parts) -> Tensor:
        return torch.cat(parts.features, 1).sum(1, keepdim=True)


@pytest.mark.parametrize("seed", [0, 3])
def test_shares_of_a_weighted_sum_follow_from_weights_and_spread(seed: int) -> None:
    # the target is the fusion itself, so that member i costs w_i^2 mean (x_i - shuffled x_i)^2
    x, weights = (
        torch.randn(3, N, 1) * torch.tensor([1.0, 2.0, 0.5])[:, None, None],
        [0.5, 0.2, 0.3],
    )
    structure, parts = Average(weights, False), logits_of(*x)
    target = structure(parts).squeeze(-1)
    found = leaning(structure, parts, target, REGRESSION, seed=seed)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(seed)).tolist()
    costs = []
    for i in range(3):
        values = x[i, :, 0].tolist()
        moved = [(values[n] - values[order[n]]) ** 2 for n in range(N)]
        costs.append(weights[i] ** 2 * sum(moved) / N)
    assert found == pytest.approx([cost / sum(costs) for cost in costs], rel=1e-4)
    assert sum(found) == pytest.approx(1.0)


def test_the_only_member_that_knows_anything_is_leaned_on_alone() -> None:
    target = torch.arange(N) % 2
    knows = torch.stack([1.0 - target, target.float()], 1) * 4
    constant, silent = torch.tensor([[0.3, 0.1]]).expand(N, 2), torch.zeros(N, 2)
    parts = logits_of(constant, knows, silent)
    assert leaning(Average.of(3, TWO), parts, target, TWO) == (0.0, 1.0, 0.0)


def test_a_member_without_which_it_would_be_better_counts_nothing() -> None:
    target = torch.randn(N)
    wrong, right = -target[:, None], target[:, None]
    found = leaning(Average([0.2, 0.8], False), logits_of(wrong, right), target, REGRESSION)
    assert found == (0.0, 1.0)


@pytest.mark.parametrize("n_members", [1, 4])
def test_if_nothing_is_known_all_members_count_alike(n_members: int) -> None:
    target = torch.arange(N) % 2
    parts = logits_of(*[torch.zeros(N, 2)] * n_members)
    found = leaning(Average.of(n_members, TWO), parts, target, TWO)
    assert found == (1 / n_members,) * n_members


def test_features_are_shuffled_with_the_logits() -> None:
    target = torch.randn(N)
    features = (target[:, None] * 0.75, torch.zeros(N, 2), target[:, None] * 0.25)
    parts = Parts(torch.randn(3, N, 1), features)
    found = leaning(OnFeatures(), parts, target, REGRESSION)
    assert found == pytest.approx((0.9, 0.0, 0.1), rel=1e-4)  # as 0.75^2 to 0.25^2


def test_alike_members_of_a_learned_head_are_leaned_on_about_alike_and_noise_is_not() -> None:
    draw = torch.Generator().manual_seed(0)
    signal = torch.randn(N, 4, generator=draw)
    target = (signal[:, :2].sum(1) > 0).long()
    own = [signal[:, [0, 2]], signal[:, [1, 3]], torch.randn(N, 2, generator=draw)]
    logits = [torch.stack([-x[:, 0], x[:, 0]], 1) for x in own]
    parts = Parts(torch.stack(logits), tuple(own))
    learned = Concat.learn(parts, target, TWO)
    found = dict(
        zip(
            learned.members,
            leaning(learned.structure, parts.members(learned.members), target, TWO),
            strict=True,
        )
    )
    assert found[0] > 0.3 and found[1] > 0.3 and found.get(2, 0.0) < 0.1


def test_it_is_a_function_of_its_seed_and_changes_nothing() -> None:
    parts = Parts(torch.randn(2, N, 1), (torch.randn(N, 3), torch.randn(N, 1)))
    target = parts.logits.sum(0).squeeze(-1)
    before = parts.logits.clone(), [f.clone() for f in parts.features], torch.get_rng_state()
    first, again, other = (
        leaning(Average([0.5, 0.5], False), parts, target, REGRESSION, seed=s) for s in (0, 0, 1)
    )
    assert first == again != other
    assert torch.equal(parts.logits, before[0])
    assert all(map(torch.equal, parts.features, before[1]))
    assert torch.equal(torch.get_rng_state(), before[2])

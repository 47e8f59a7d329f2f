from __future__ import annotations

import torch
from torch import nn

from alnico.structures import Concat, Parts, row_loss
from alnico.structures._features import MOST
from alnico.types import Task

BINARY = Task("binary", (0, 1))


def halves(n: int, seed: int) -> tuple[Parts, torch.Tensor]:
    """The class is the sign of a sum, and each member's features hold one summand."""
    random = torch.Generator().manual_seed(seed)
    factors = torch.randn(n, 2, generator=random)
    target = (factors.sum(1) > 0).long()
    noise = torch.randn(2, n, 2, generator=random)  # their own heads make nothing of it
    return Parts(noise, (factors[:, :1] * 10 + 3, factors[:, 1:])), target


def test_what_no_member_says_alone_is_read_from_joined_features() -> None:
    learned = Concat.learn(*halves(300, 0), BINARY)
    assert sorted(learned.members) == [0, 1]
    parts, target = halves(1_000, 1)
    mean = row_loss(parts.logits.mean(0), target, BINARY).mean()
    assert row_loss(learned(parts), target, BINARY).mean() < 0.65 * mean
    assert (learned(parts).argmax(1) == target).float().mean() > 0.8


def test_it_starts_at_one_head_over_the_joined_features(task) -> None:
    c = task.n_outputs
    features = (torch.randn(20, 5), torch.randn(20, 3))
    heads = [nn.Linear(5, c), nn.Linear(3, c)]
    logits = torch.stack([head(f) for head, f in zip(heads, features, strict=True)])
    joined = nn.Linear(8, c)
    joined.weight.data = torch.cat([head.weight for head in heads], 1) / 2
    joined.bias.data = (heads[0].bias + heads[1].bias) / 2
    expected = joined(torch.cat(features, 1))
    out = Concat([5, 3], c)(Parts(logits, features))
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)


def test_the_scale_of_features_does_not_matter(task, make_parts) -> None:
    parts, target = make_parts(task, 0.5, 1.0)
    other = Parts(parts.logits, tuple(100 * f - 7 for f in parts.features))
    one, two = (Concat.learn(p, target, task)(p) for p in (parts, other))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_it_reads_a_bounded_number_of_members(task, make_parts) -> None:
    parts, target = make_parts(task, *[1.0] * (MOST + 4))
    learned = Concat.learn(parts, target, task)
    assert 2 <= len(learned.members) <= MOST
    assert learned.structure.weight.shape == (task.n_outputs, 3 * len(learned.members))

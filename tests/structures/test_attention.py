from __future__ import annotations

import torch
from torch.nn import functional as F

from alnico.structures import Attention, Average, Parts, row_loss
from alnico.structures._features import MOST
from alnico.types import Task

BINARY = Task("binary", (0, 1))


def specialists(n: int, seed: int) -> tuple[Parts, torch.Tensor]:
    """Member 0 is right where a feature is 1, member 1 where it is -1; both are loud."""
    random = torch.Generator().manual_seed(seed)
    target = torch.randint(2, (n,), generator=random)
    where = 2.0 * torch.randint(2, (n,), generator=random) - 1
    truth = 4.0 * (F.one_hot(target, 2) - 0.5)
    wrong = 4.0 * torch.randn(n, 2, generator=random)
    is_first = (where > 0)[:, None]
    logits = torch.stack([torch.where(is_first, truth, wrong), torch.where(is_first, wrong, truth)])
    noise = torch.randn(2, n, 2, generator=random)
    return Parts(logits, tuple(torch.cat([where[:, None], x], 1) for x in noise)), target


def test_it_listens_to_the_one_who_knows() -> None:
    learned = Attention.learn(*specialists(400, 0), BINARY)
    parts = specialists(1_000, 1)[0].members(learned.members)
    weights = learned.structure.weights(parts)
    knows = parts.features[0][:, 0] > 0
    first = learned.members.index(0)
    assert weights[first, knows].mean() > 0.8 and weights[first, ~knows].mean() < 0.2


def test_it_beats_every_fixed_average_of_the_members() -> None:
    learned = Attention.learn(*specialists(400, 0), BINARY)
    parts, target = specialists(1_000, 1)
    loss = row_loss(learned(parts), target, BINARY).mean()
    for share in torch.linspace(0, 1, 21).tolist():
        fixed = Average([share, 1 - share], True)(parts)
        logits = (torch.tensor([share, 1 - share])[:, None, None] * parts.logits).sum(0)
        for said in (fixed, logits):
            assert loss < 0.9 * row_loss(said, target, BINARY).mean()


def test_the_output_is_the_formula_row_by_row(task, make_parts) -> None:
    parts, _ = make_parts(task, 1.0, 1.0, n=20)
    attention = Attention(parts.widths, task.n_outputs)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    attention.standardise.fit_(parts)
    mean, std = attention.standardise.mean, attention.standardise.std
    for row, said in enumerate(attention(parts)):
        scores = []
        for member, f in enumerate(parts.features):
            of = slice(3 * member, 3 * member + 3)
            key = (f[row] - mean[of]) / std[of]
            scores.append((key @ attention.query[of] + attention.prior[member]).exp())
        expected = attention.bias.clone()
        for member, score in enumerate(scores):
            value = attention.log_scale[member].exp() * parts.logits[member, row]
            expected += score / sum(scores) * value
        torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-5)


def test_weights_sum_to_one_over_members_and_start_equal(task, make_parts) -> None:
    parts, target = make_parts(task, 0.5, 1.0, 2.0)
    start = Attention(parts.widths, task.n_outputs).weights(parts)
    torch.testing.assert_close(start, torch.full((3, 200), 1 / 3))
    learned = Attention.learn(parts, target, task)
    weights = learned.structure.weights(parts.members(learned.members))
    assert weights.shape == (len(learned.members), 200) and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(200))


def test_one_member_has_all_the_weight(task, make_parts) -> None:
    parts, _ = make_parts(task, 1.0)
    assert (Attention(parts.widths, task.n_outputs).weights(parts) == 1).all()


def test_it_reads_a_bounded_number_of_members(task, make_parts) -> None:
    parts, target = make_parts(task, *[1.0] * (MOST + 4))
    assert 2 <= len(Attention.learn(parts, target, task).members) <= MOST

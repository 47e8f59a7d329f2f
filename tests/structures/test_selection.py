from __future__ import annotations

import numpy as np
import pytest
import torch

from alnico.structures import Selection, row_loss
from alnico.structures.selection import ROUNDS, choose_members, greedy_counts


def caruana(logits: torch.Tensor, target: torch.Tensor, task, rounds: int) -> list[int]:
    """Algorithm of section 2.1 with replacement (2.2), as a loop over bags of members."""
    said = (logits.softmax(-1) if task.is_classification else logits).double().numpy()
    y, bag, bags = target.numpy(), [], []
    for _ in range(rounds):
        losses = []
        for member in range(len(said)):
            mean = said[[*bag, member]].mean(0)
            errors = (mean[:, 0] - y) ** 2
            if task.is_classification:
                errors = -np.log(mean[np.arange(len(y)), y])
            losses.append(errors.mean())
        bag = [*bag, int(np.argmin(losses))]
        bags.append((min(losses), bag))
    best = min(bags, key=lambda pair: pair[0])[1]
    return [best.count(member) for member in range(len(said))]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_loop_of_caruana_et_al_2004(task, make_parts, seed: int) -> None:
    parts, target = make_parts(task, 1.5, 0.8, 1.0, 2.0, n=90, seed=seed)
    counts = greedy_counts(parts.logits, target, task)
    assert counts.tolist() == caruana(parts.logits, target, task, ROUNDS)


def test_the_weights_are_how_often_each_was_picked(task, make_parts) -> None:
    parts, target = make_parts(task, 1.5, 0.8, 1.0, 20.0)
    counts = greedy_counts(parts.logits, target, task)
    learned = Selection.learn(parts, target, task)
    assert learned.members == tuple(np.flatnonzero(counts))
    assert 3 not in learned.members
    expected = counts[list(learned.members)] / counts.sum()
    torch.testing.assert_close(learned.structure.weights, expected)


def test_it_is_never_worse_than_the_best_member_on_its_rows(task, make_parts) -> None:
    for seed in range(5):
        parts, target = make_parts(task, 1.0, 2.0, 4.0, n=50, seed=seed)
        best = min(float(row_loss(m, target, task).mean()) for m in parts.logits)
        out = Selection.learn(parts, target, task)(parts)
        assert float(row_loss(out, target, task).mean()) <= best + 1e-6


def test_members_that_are_surely_wrong_do_not_break_the_loss(task, make_parts) -> None:
    parts, target = make_parts(task, 1.0, 1.0)
    parts.logits[1] *= -1e4
    counts = greedy_counts(parts.logits, target, task)
    assert counts[0] > 0 and counts[1] == 0


def test_the_heaviest_are_chosen_first_and_not_more_than_asked(task, make_parts) -> None:
    parts, target = make_parts(task, 3.0, 0.8, 1.1, 1.0, 0.9)
    counts = greedy_counts(parts.logits, target, task)
    everyone = choose_members(parts, target, task, most=9)
    assert set(everyone) == set(np.flatnonzero(counts))
    assert [counts[i] for i in everyone] == sorted(counts[list(everyone)], reverse=True)
    assert choose_members(parts, target, task, most=2) == everyone[:2]

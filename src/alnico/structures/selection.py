"""Greedy ensemble selection with replacement (Caruana, Niculescu-Mizil, Crew, Ksikes 2004)."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from alnico.structures._structure import Learned, Parts, structures
from alnico.structures.average import Average
from alnico.types import Task

ROUNDS = 30


class Selection(Average):
    """An average whose weights are how often each member was picked."""

    name = "selection"

    @classmethod
    def learn(cls, parts: Parts, target: Tensor, task: Task) -> Learned[Self]:
        """Add, round by round, the member that helps the average most; keep the best round."""
        counts = greedy_counts(parts.logits, target, task)
        chosen = tuple(int(i) for i in counts.nonzero().flatten())
        weights = (counts[list(chosen)] / counts.sum()).tolist()
        return Learned(chosen, cls(weights, task.is_classification))


def greedy_counts(logits: Tensor, target: Tensor, task: Task) -> Tensor:
    """How often greedy selection picks each member. [k, n, c] logits -> [k]

    The loss of an average needs no more of a member than its probability of the true class (in a
    regression: its output), so a round costs k passes over [n].
    """
    if task.is_classification:
        said = logits.softmax(-1)[:, torch.arange(len(target)), target]
    else:
        said = logits.squeeze(-1)
    counts = torch.zeros(len(logits))
    total = torch.zeros_like(said[0])
    best_loss, best = float("inf"), counts.clone()
    for round_ in range(1, ROUNDS + 1):
        together = (total + said) / round_
        if task.is_classification:
            losses = -together.clamp(min=1e-12).log().mean(1)
        else:
            losses = (together - target).square().mean(1)
        pick = int(losses.argmin())
        counts[pick] += 1
        total = total + said[pick]
        if float(losses[pick]) < best_loss:
            best_loss, best = float(losses[pick]), counts.clone()
    return best


def choose_members(parts: Parts, target: Tensor, task: Task, *, most: int) -> tuple[int, ...]:
    """The members that greedy selection leans on, the heaviest first; at most `most`."""
    counts = greedy_counts(parts.logits, target, task)
    order = counts.argsort(descending=True, stable=True)
    return tuple(int(i) for i in order[:most] if counts[i] > 0)


structures.add("selection", Selection)

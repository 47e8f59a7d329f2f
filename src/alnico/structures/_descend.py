"""Fit a structure's own parameters to rows, drawn towards where they started."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor

from alnico.structures._structure import Parts, Structure, row_loss
from alnico.threads import few_threads
from alnico.types import Task

S = TypeVar("S", bound=Structure)

STRENGTHS = (1.0, 0.1, 0.01, 0.001)
"""Penalties that are tried, from the strongest: weight of the squared distance from the start."""


def descend(start: S, parts: Parts, target: Tensor, task: Task) -> S:
    """Minimise the loss plus `strength * |parameters - start|^2`; the start is never changed.

    The strength is the one that does best on every fourth row after learning from the others; then
    all rows are learned from. L-BFGS over all rows at once, so that there is nothing random in it.

    Args:
        start: A structure on exactly these members.
        parts: The members on the rows to learn from.
        target: Class index, or the standardised number, of each row. [n]
        task: What is predicted.
    """
    size = sum(f.numel() for f in parts.features) + parts.logits.numel()
    with few_threads(size):
        return _descend(start, parts, target, task)


def _descend(start: S, parts: Parts, target: Tensor, task: Task) -> S:
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    held, used = order[::4], order[torch.arange(len(order)) % 4 != 0]
    best_loss, best_strength, now = _loss(start, parts.rows(held), target[held], task), None, start
    for strength in STRENGTHS:  # each goes on from the one before
        now = _minimise(start, now, parts.rows(used), target[used], task, strength)
        loss = _loss(now, parts.rows(held), target[held], task)
        if loss < best_loss:
            best_loss, best_strength = loss, strength
        elif loss > 1.05 * best_loss:
            break
    if best_strength is None:
        return deepcopy(start)
    return _minimise(start, start, parts, target, task, best_strength)


def _loss(structure: Structure, parts: Parts, target: Tensor, task: Task) -> float:
    with torch.no_grad():
        return float(row_loss(structure(parts), target, task).mean())


def _minimise(start: S, now: S, parts: Parts, target: Tensor, task: Task, strength: float) -> S:
    structure = deepcopy(now)
    anchors = [p.detach().clone() for p in start.parameters()]
    free = list(structure.parameters())
    optimiser = torch.optim.LBFGS(
        free, max_iter=50, tolerance_change=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        distance = sum((p - a).square().sum() for p, a in zip(free, anchors, strict=True))
        loss = row_loss(structure(parts), target, task).mean() + strength * distance
        loss.backward()
        return loss

    optimiser.step(closure)
    return structure

"""How far a fusion leans on each of its members: what it loses when one of them talks at random."""

from __future__ import annotations

import torch
from torch import Tensor

from alnico.structures import Parts, Structure, row_loss
from alnico.types import Task


@torch.no_grad()
def leaning(
    structure: Structure, parts: Parts, target: Tensor, task: Task, *, seed: int = 0
) -> tuple[float, ...]:
    """Each member's share of what shuffling costs; the shares sum to 1.

    A member's logits and features are shuffled over the rows, all others stay (permutation
    importance, Breiman 2001, of members instead of columns). A member without which the loss falls
    counts 0; if no member counts, all count alike.

    Args:
        structure: Joins the members.
        parts: What they say of some rows.
        target: Class index, or the standardised number, of each row. [n]
        task: What is predicted.
        seed: Of the shuffling, which is the same for every member.
    """
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))
    whole = float(row_loss(structure(parts), target, task).mean())
    costs = []
    for i in range(len(parts)):
        loss = row_loss(structure(_shuffled(parts, i, order)), target, task).mean()
        costs.append(max(0.0, float(loss) - whole))
    total = sum(costs)
    return tuple(cost / total if total > 0 else 1 / len(costs) for cost in costs)


def _shuffled(parts: Parts, member: int, order: Tensor) -> Parts:
    logits = parts.logits.clone()
    logits[member] = logits[member, order]
    features = list(parts.features)
    features[member] = features[member][order]
    return Parts(logits, tuple(features))

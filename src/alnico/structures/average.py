"""The average of the members' probabilities (of their outputs, in a regression)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from alnico.structures._structure import Learned, Parts, Structure, row_loss, structures
from alnico.types import Task


class Average(Structure):
    """Average with fixed weights; `learn` takes the best members and weighs them equally.

    How many of the best, is learned: an average over everything is spoilt by weak members.

    Args:
        weights: One of each member; they sum to 1.
        is_classification: Whether probabilities are averaged, or outputs.
    """

    name = "average"
    weights: Tensor

    def __init__(self, weights: Sequence[float], is_classification: bool) -> None:
        super().__init__()
        self.is_classification = is_classification
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))

    @classmethod
    def learn(cls, parts: Parts, target: Tensor, task: Task) -> Learned[Self]:
        """Average the m best members, for the best m."""
        order = sorted(range(len(parts)), key=lambda i: _loss(parts.logits[i], target, task))
        losses = [
            float(row_loss(cls.of(m, task)(parts.members(order[:m])), target, task).mean())
            for m in range(1, len(order) + 1)
        ]
        best = losses.index(min(losses)) + 1
        return Learned(tuple(order[:best]), cls.of(best, task))

    @classmethod
    def of(cls, n_members: int, task: Task) -> Self:
        """The plain average of this many members."""
        return cls([1 / n_members] * n_members, task.is_classification)

    @property
    def settings(self) -> dict[str, Any]:
        """The weights and what is averaged."""
        return {"weights": self.weights.tolist(), "is_classification": self.is_classification}

    def forward(self, parts: Parts) -> Tensor:
        """[k, n, c] -> [n, c]: log of the averaged probabilities, or the averaged output."""
        weights = self.weights[:, None, None]
        if not self.is_classification:
            return (parts.logits * weights).sum(0)
        return torch.logsumexp(parts.logits.log_softmax(-1) + weights.log(), 0)


def _loss(logits: Tensor, target: Tensor, task: Task) -> float:
    return float(row_loss(logits, target, task).mean())


structures.add("average", Average)

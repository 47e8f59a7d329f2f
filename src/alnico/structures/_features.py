"""What the structures over features share: standardised features, and how they are learned."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from alnico.structures._descend import descend
from alnico.structures._structure import Learned, Parts, Structure
from alnico.structures.selection import choose_members
from alnico.types import Task

MOST = 6
"""Members whose features are joined: more of them learn the rows by heart."""


class Standardise(nn.Module):
    """Features of mean 0 and standard deviation 1 over the rows it was fitted to.

    One penalty then fits the weights of all features.

    Args:
        widths: The width of each member's features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.register_buffer("mean", torch.zeros(sum(widths)))
        self.register_buffer("std", torch.ones(sum(widths)))

    def fit_(self, parts: Parts) -> None:
        """Take mean and standard deviation from these rows; a constant unit is left as it is."""
        features = torch.cat(parts.features, 1)
        mean = features.mean(0)
        std = (features - mean).square().mean(0).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, 1.0))

    def forward(self, parts: Parts) -> Tensor:
        """k times [n, w] -> [n, sum of w]"""
        out: Tensor = (torch.cat(parts.features, 1) - self.mean) / self.std
        return out


class _Done(Standardise):
    """Stands in while a structure is learned: its features are standardised and joined already."""

    def forward(self, parts: Parts) -> Tensor:
        """[n, sum of w], as it is"""
        return parts.features[0]


class OverFeatures(Structure, ABC):
    """A structure that reads the members' features, with an offset for each output.

    Args:
        widths: The width of each member's features.
        n_outputs: c.
    """

    def __init__(self, widths: Sequence[int], n_outputs: int) -> None:
        super().__init__()
        self.standardise = Standardise(widths)
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    @classmethod
    def learn(cls, parts: Parts, target: Tensor, task: Task) -> Learned[Self]:
        """Fit its parameters on the members that greedy selection leans on."""
        chosen = choose_members(parts, target, task, most=MOST)
        parts = parts.members(chosen)
        start = cls(parts.widths, task.n_outputs)
        standardise = start.standardise
        standardise.fit_(parts)
        # once, not in every step
        done = Parts(parts.logits, (standardise(parts),))
        start.standardise = _Done(parts.widths)
        learned = descend(start, done, target, task)
        learned.standardise = standardise
        return Learned(chosen, learned)

    @property
    def settings(self) -> dict[str, Any]:
        """Its shape."""
        return {"widths": self.standardise.widths, "n_outputs": len(self.bias)}

"""Concatenation: one head over the features of all members, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from alnico.structures._descend import descend
from alnico.structures._features import Standardise
from alnico.structures._structure import Learned, Parts, Structure, structures
from alnico.structures.selection import choose_members
from alnico.types import Task

MOST = 6


class Concat(Structure):
    """`mean_i logits_i + W [f_1 ... f_k] + b`, with W and b 0 at the start.

    For members whose logits are `W_i f_i + b_i` this is one linear head over the joined features
    that starts at `[W_1 ... W_k] / k`, the mean of the members' logits.

    Args:
        widths: The width of each member's features.
        n_outputs: c.
    """

    name = "concat"

    def __init__(self, widths: Sequence[int], n_outputs: int) -> None:
        super().__init__()
        self.standardise = Standardise(widths)
        self.weight = nn.Parameter(torch.zeros(n_outputs, sum(widths)))
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    @classmethod
    def learn(cls, parts: Parts, target: Tensor, task: Task) -> Learned[Self]:
        """Fit the head on the members that greedy selection leans on."""
        chosen = choose_members(parts, target, task, most=MOST)
        parts = parts.members(chosen)
        start = cls(parts.widths, task.n_outputs)
        start.standardise.fit_(parts)
        return Learned(chosen, descend(start, parts, target, task))

    @property
    def settings(self) -> dict[str, Any]:
        """Its shape."""
        return {"widths": self.standardise.widths, "n_outputs": len(self.bias)}

    def forward(self, parts: Parts) -> Tensor:
        """[k, n, c] logits, k times [n, w] features -> [n, c]"""
        head = nn.functional.linear(self.standardise(parts), self.weight, self.bias)
        return parts.logits.mean(0) + head


structures.add("concat", Concat)

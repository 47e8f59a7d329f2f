"""Stacking: a linear model over the members' log-probabilities (Wolpert 1992; Breiman 1996)."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from alnico.structures._descend import descend
from alnico.structures._structure import Learned, Parts, Structure, structures
from alnico.structures.selection import choose_members
from alnico.types import Task

MOST = 8


class Stacking(Structure):
    """`sum_i a_i * logits_i + b`, with one weight a member and class, and an offset a class.

    A fresh one is the mean of the members' logits.

    Args:
        n_members: k.
        n_outputs: c.
    """

    name = "stacking"

    def __init__(self, n_members: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((n_members, 1, n_outputs), 1 / n_members))
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    @classmethod
    def learn(cls, parts: Parts, target: Tensor, task: Task) -> Learned[Self]:
        """Fit the weights on the members that greedy selection leans on."""
        chosen = choose_members(parts, target, task, most=MOST)
        start = cls(len(chosen), task.n_outputs)
        return Learned(chosen, descend(start, parts.members(chosen), target, task))

    @property
    def settings(self) -> dict[str, Any]:
        """Its shape."""
        return {"n_members": len(self.weight), "n_outputs": len(self.bias)}

    def forward(self, parts: Parts) -> Tensor:
        """[k, n, c] -> [n, c]"""
        return (parts.logits * self.weight).sum(0) + self.bias


structures.add("stacking", Stacking)

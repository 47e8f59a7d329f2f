"""The contract of structures: frozen members' outputs in, one output out; learned from rows.

A structure sees its members as `Parts`: their logits and their features on some rows. It is an
`nn.Module` from parts to logits, and a class method `learn` that fits one to the rows it is given
and to no others, so that whoever cross-fits it can trust its out-of-fold scores.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.probing import Outputs
from alnico.registry import Registry
from alnico.types import Task


@dataclass(frozen=True)
class Parts:
    """What k frozen members say of n rows.

    Args:
        logits: Their outputs. [k, n, c]
        features: The layer before the last of each; widths differ. k times [n, w]
    """

    logits: Tensor
    features: tuple[Tensor, ...]

    @classmethod
    def of(cls, outputs: Sequence[Outputs]) -> Parts:
        """Put members side by side."""
        return cls(torch.stack([o.logits for o in outputs]), tuple(o.features for o in outputs))

    def __len__(self) -> int:
        return len(self.logits)

    def rows(self, index: Tensor) -> Parts:
        """The same members on some of the rows."""
        return Parts(self.logits[:, index], tuple(f[index] for f in self.features))

    def members(self, chosen: Sequence[int]) -> Parts:
        """Some of the members on the same rows."""
        return Parts(self.logits[list(chosen)], tuple(self.features[i] for i in chosen))

    @property
    def widths(self) -> list[int]:
        """The width of each member's features."""
        return [f.shape[1] for f in self.features]


class Structure(nn.Module):
    """A way to join frozen members into one output.

    `__init__` takes plain values alone (they are kept in the run folder as `settings`), and a fresh
    structure is the mean of its members, or a given average.
    """

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def learn(cls, parts: Parts, target: Tensor, task: Task) -> Learned[Self]:
        """Choose among the members, and fit a structure on them.

        Args:
            parts: All members on the rows to learn from.
            target: Class index, or the standardised number, of each row. [n]
            task: What is predicted.
        """

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The arguments of `__init__` that make one of the same shape."""

    @abstractmethod
    def forward(self, parts: Parts) -> Tensor:
        """[k, n, c] logits and features -> [n, c]"""


S = TypeVar("S", bound=Structure, covariant=True)


@dataclass(frozen=True)
class Learned(Generic[S]):
    """A fitted structure, and which of the members it reads, in this order."""

    members: tuple[int, ...]
    structure: S

    def __call__(self, parts: Parts) -> Tensor:
        """All members' parts -> [n, c]"""
        out: Tensor = self.structure(parts.members(self.members))
        return out


structures: Registry[type[Structure]] = Registry("structure")


def row_loss(output: Tensor, target: Tensor, task: Task) -> Tensor:
    """The loss of each row: cross-entropy of [n, c] logits, or squared error. -> [n]"""
    if task.is_classification:
        return F.cross_entropy(output, target, reduction="none")
    return (output.squeeze(-1) - target).square()

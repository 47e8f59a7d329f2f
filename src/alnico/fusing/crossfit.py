"""Cross-fitting: every row's output comes from a fusion that was learned from the other folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor


class Fit(Protocol):
    """What a fusion becomes once it is learned: outputs for any of the rows it may be asked for."""

    def outputs(self, rows: Tensor) -> Tensor:
        """Row numbers [m] -> [m, c]"""


F = TypeVar("F", bound=Fit)


@dataclass(frozen=True)
class CrossFitted(Generic[F]):
    """A fusion learned from all rows, and honest outputs for the same rows.

    Args:
        fit: Learned from all rows; this is what predicts new ones.
        outputs: Out-of-fold outputs: row i's come from a fusion that never saw row i. [n, c]
    """

    fit: F
    outputs: Tensor


def crossfit(learn: Callable[[Tensor], F], folds: Tensor) -> CrossFitted[F]:
    """Learn once per fold without it, and once from all rows.

    Args:
        learn: Row numbers to learn from -> what was learned.
        folds: The fold number of each row. [n]
    """
    rows = torch.arange(len(folds))
    whole = learn(rows)
    outputs = torch.empty_like(whole.outputs(rows))
    for fold in folds.unique().tolist():
        held = rows[folds == fold]
        outputs[held] = learn(rows[folds != fold]).outputs(held)
    return CrossFitted(whole, outputs)

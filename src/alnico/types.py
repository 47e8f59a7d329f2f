"""The few types that every room speaks; no behaviour beyond their own reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

StateDict: TypeAlias = "dict[str, Tensor]"
"""Tensor name -> tensor, as `torch.nn.Module.state_dict` gives it."""

Batch: TypeAlias = "Tensor | Mapping[str, Tensor]"
"""The inputs of some rows: one tensor, or named ones; the first axis of each counts rows."""

Label: TypeAlias = str | int | float | bool
"""A value of the target, as the user wrote it."""

Kind: TypeAlias = Literal["binary", "multiclass", "regression"]


@dataclass(frozen=True)
class Task:
    """What is predicted, and in which units the networks speak.

    Args:
        kind: Two classes, more classes, or a number.
        classes: The labels in the order of the network's outputs; the positive class is the last
            of a binary task. Empty for a regression.
        center: Regression: the target's mean over the training rows, in the target's units.
        scale: Regression: its standard deviation, in the target's units; networks predict
            `(target - center) / scale`.
    """

    kind: Kind
    classes: tuple[Label, ...] = ()
    center: float = 0.0
    scale: float = 1.0

    @property
    def n_outputs(self) -> int:
        """The width of a network's output: one logit per class, or one number."""
        return max(1, len(self.classes))

    @property
    def is_classification(self) -> bool:
        """Whether the target is one of `classes`."""
        return self.kind != "regression"


@dataclass(frozen=True)
class Inputs:
    """What a network for table rows is fed with; the keys of its batch follow from the counts.

    Args:
        numbers: Columns of `batch["quantile"]` (float, in [0, 1]) and of `batch["log"]` (float,
            standardised): the same numbers in two encodings.
        missing: Columns of `batch["missing"]` (float, 0 or 1): where a number was missing.
        categories: Number of ids of each column of `batch["categories"]` (int); id 0 is unseen.
        words: Number of word ids in `batch["words"]` (int, [n, length]); id 0 is padding.
        bag: Number of ids in `batch["bag"]` (int, [n, length], words and word pairs), weighted by
            `batch["bag_weight"]` (float, 0 at padding).
    """

    numbers: int = 0
    missing: int = 0
    categories: tuple[int, ...] = ()
    words: int = 0
    bag: int = 0

    @property
    def has_table(self) -> bool:
        """Whether there is anything but text."""
        return bool(self.numbers or self.categories)

    @property
    def has_text(self) -> bool:
        """Whether there is text."""
        return self.words > 0

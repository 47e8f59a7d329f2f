"""What a user may ask of a fit, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alnico.errors import RecipeError
from alnico.registry import suggest
from alnico.types import Label

TASKS = ("auto", "binary", "multiclass", "regression")
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Options:
    """How a table is fitted.

    Args:
        target: The column to predict.
        task: `auto`, or one of the three tasks.
        positive: The positive class of a binary task; None takes the last in sorted order.
        metric: What rows are ranked by; None takes the task's default.
        time_limit: Seconds for everything up to the leaderboard; None trains the first pass only,
            and then a run repeats itself exactly.
        seed: Seed of splits, starts, orders and folds.
        drop: Columns to leave out.
        text: Columns to read as text.
        category: Columns to read as categories.
        group: Rows of one value of this column stay in one part.
        time_column: Parts follow one another in this column's time.
        window_end: With a time column: the column that says when each row's outcome window ends.
        optimisers: Names of the optimisers that members are trained with.
        architectures: Names of the architectures that are trained; empty takes all that fit.
        kinds: Kinds of rows that are tried; empty takes all.

    Raises:
        RecipeError: If a value is out of range.
    """

    target: str
    task: str = "auto"
    positive: Label | None = None
    metric: str | None = None
    time_limit: float | None = None
    seed: int = 0
    drop: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    group: str | None = None
    time_column: str | None = None
    window_end: str | None = None
    optimisers: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise RecipeError(f"there is no task {self.task!r}", help=suggest(self.task, TASKS))
        if self.time_limit is not None and self.time_limit <= 0:
            raise RecipeError(f"time limit must be positive, got {self.time_limit} s")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the run folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Options:
        """Rebuild what `to_json` gave."""
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in record.items()
        }
        return cls(**values)


def seconds(text: str | float | None) -> float | None:
    """Read a duration: `90`, `90s`, `5m`, `1.5h` -> seconds.

    Raises:
        RecipeError: If it is none of these.
    """
    if text is None or isinstance(text, int | float):
        return text
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text.lower())
    if not found:
        raise RecipeError(
            f"time limit {text!r} is not a duration", help="write it as 90s, 5m or 1.5h"
        )
    return float(found[1]) * _UNITS[found[2] or "s"]


def as_tuple(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """One name, several or none -> a tuple."""
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)

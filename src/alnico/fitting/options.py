"""What a user may ask of a fit, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, fields, replace
from typing import Any

from alnico.errors import RecipeError, UnknownNameError
from alnico.fitting.plan import ARCHITECTURES, SCHEMES
from alnico.networks import architectures
from alnico.registry import suggest
from alnico.training import optimisers
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
        time_limit: Seconds for everything up to the leaderboard; without it, a run repeats itself
            exactly.
        trials: How many families the search trains after the first pass; None is as many as a time
            limit leaves room for, and none without one.
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
        together: Schemes of training members together; empty takes all.
        start_from: An earlier run folder, whose members are taken as warm starts and as members.

    Raises:
        RecipeError: If a value is out of range.
        UnknownNameError: If there is no such optimiser, architecture or scheme.
    """

    target: str
    task: str = "auto"
    positive: Label | None = None
    metric: str | None = None
    time_limit: float | None = None
    trials: int | None = None
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
    together: tuple[str, ...] = ()
    start_from: str | None = None

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise RecipeError(f"there is no task {self.task!r}", help=suggest(self.task, TASKS))
        if self.time_limit is not None and self.time_limit <= 0:
            raise RecipeError(
                f"time limit must be positive, got {self.time_limit:g} s",
                help="leave it out to train the first pass only",
            )
        if self.trials is not None and (not isinstance(self.trials, int) or self.trials < 0):
            raise RecipeError(
                f"trials must be a whole number from 0, got {self.trials!r}",
                help="0 is no search; each trial trains one more family of networks",
            )
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise RecipeError(
                f"seed must be a whole number from 0 and below 2**32, got {self.seed!r}",
                help="any of these will do",
            )
        for name in self.optimisers:
            optimisers[name]
        for name in self.architectures:
            architectures[name]
            if name not in ARCHITECTURES:
                raise RecipeError(
                    f"the architecture {name!r} is not trained on tables",
                    help=f"these are: {', '.join(ARCHITECTURES)}",
                )
        for name in self.together:
            if name not in SCHEMES:
                raise UnknownNameError(
                    f"there is no scheme {name!r} of training together", help=suggest(name, SCHEMES)
                )

    def go_on(self, asked: Options) -> Options:
        """These options for a run that goes on: more time or trials are taken, no other change.

        Args:
            asked: What is asked now; what has its default there was not asked.

        Raises:
            RecipeError: If something else is asked now.
        """
        for field in fields(self):
            before, now = getattr(self, field.name), getattr(asked, field.name)
            if field.name not in ("time_limit", "trials") and now not in (_default(field), before):
                raise RecipeError(
                    f"this run began with {field.name} {before!r}, not {now!r}",
                    help="go on without that option, or start a new run with another -o",
                )
        return replace(
            self,
            time_limit=asked.time_limit or self.time_limit,
            trials=self.trials if asked.trials is None else asked.trials,
        )

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


def _default(field: Field[Any]) -> object:
    return "" if field.default is MISSING else field.default  # only a target has none


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

"""What models score in tasks, side by side; nothing here calls a score or opens a model."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from alnico.errors import DataError
from alnico.evaluation.drawing import Column, draw_table, score

Kind: TypeAlias = Literal["base", "parent", "average", "merge", "ensemble"]

ONE = "score"
"""What the task is called where a function gives a number and names none."""


@dataclass(frozen=True)
class Row:
    """One model.

    Args:
        name: As the table calls it.
        kind: What it is to the merge.
        scores: Task -> score; higher is better.
    """

    name: str
    kind: Kind
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean over the tasks."""
        return math.fsum(self.scores.values()) / len(self.scores)


@dataclass(frozen=True)
class Scores:
    """What a merge and those that it is held against score in the same tasks.

    Args:
        rows: Base, parents, their uniform average, the merge, their ensemble; as far as there are.
    """

    rows: tuple[Row, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """What was scored, in the order of the first row."""
        return tuple(self.rows[0].scores)

    def of_best_parts(self, row: Row) -> float | None:
        """The mean over tasks of a model's score, as a share of the best parent's in that task.

        None where a task has no parent above zero, because there is no such share then.

        Args:
            row: The model.
        """
        parents = [each.scores for each in self.rows if each.kind == "parent"]
        best = {task: max(scores[task] for scores in parents) for task in self.tasks}
        if min(best.values()) <= 0:
            return None
        return math.fsum(row.scores[task] / best[task] for task in best) / len(best)

    def as_records(self) -> list[dict[str, object]]:
        """The rows as JSON can hold them."""
        return [
            {
                "model": row.name,
                "kind": row.kind,
                "scores": dict(row.scores),
                "mean": row.mean,
                "of_best_parts": self.of_best_parts(row),
            }
            for row in self.rows
        ]

    def draw(self) -> str:
        """The table; the mean is left out where it is that of one task."""
        has_mean = len(self.tasks) > 1
        titles = [*self.tasks, *(["mean"] if has_mean else []), "of best parts"]
        cells = [
            [
                row.name,
                *(score(row.scores[task]) for task in self.tasks),
                *([score(row.mean)] if has_mean else []),
                "" if row.kind in ("base", "parent") else _percent(self.of_best_parts(row)),
            ]
            for row in self.rows
        ]
        return draw_table([Column("model"), *(Column(title, "right") for title in titles)], cells)


def read_scores(found: object, *, of: str, tasks: Sequence[str] | None = None) -> dict[str, float]:
    """What a user's function gave for a model, checked.

    Args:
        found: A finite number, or a mapping of tasks to such numbers.
        of: What messages call the function and the model.
        tasks: Those that it gave for other models; None if this is the first.

    Returns:
        Task -> score, in the order of `tasks`.

    Raises:
        DataError: If it is anything else, or is of other tasks.
    """
    given = found if isinstance(found, Mapping) else {ONE: found}
    scores = {task: _number(value) for task, value in given.items()}
    wrong = [task for task, value in scores.items() if value is None]
    if wrong or not scores or not all(isinstance(task, str) and task for task in scores):
        what = f"{given[wrong[0]]!r} for {wrong[0]}" if wrong and given is found else repr(found)
        raise DataError(
            f"{of} gave {what[:200]}",
            help="give a finite number, or a mapping of tasks, by their names, to such numbers",
        )
    if tasks is not None and set(tasks) != set(scores):
        raise DataError(
            f"{of} gave the tasks {', '.join(scores)}, and {', '.join(tasks)} of the first model",
            help="give the same tasks for every model",
        )
    return {task: value for task in tasks or scores if (value := scores[task]) is not None}


def _number(value: object) -> float | None:
    """A finite number as Python has it, also that in an array or tensor without axes."""
    item = getattr(value, "item", None)
    plain = item() if callable(item) and getattr(value, "ndim", None) == 0 else value
    if isinstance(plain, bool) or not isinstance(plain, numbers.Real):
        return None
    try:
        number = float(plain)
    except OverflowError:  # an integer that no float holds
        return None
    return number if math.isfinite(number) else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"

"""The record of a run as the report reads it; runs of earlier versions lack some of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alnico.evaluation import drawing
from alnico.evaluation.metrics import Metric, metrics
from alnico.runs import PREDICTIONS, Run

Record: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What the parts of the page are made from.

    Args:
        run: An open run folder.
    """

    run: Run

    @property
    def record(self) -> Record:
        """The run's record."""
        return self.run.record

    @property
    def target(self) -> str:
        """The column that is predicted."""
        return str(self.record["options"]["target"])

    @property
    def kind(self) -> str:
        """The kind of the task."""
        return str(self.record["task"]["kind"])

    @property
    def classes(self) -> list[str]:
        """The labels in the order of the outputs; none of a regression."""
        return [str(name) for name in self.record["task"]["classes"]]

    @property
    def metric(self) -> Metric:
        """What the rows are ranked by."""
        return metrics[self.record["metric"]]

    @property
    def is_open(self) -> bool:
        """Whether the test part was opened."""
        return bool(self.record["test_opened"])

    @property
    def part(self) -> Literal["test", "valid"]:
        """The part of the data that curves are drawn from: the test part once it is open."""
        return "test" if self.is_open else "valid"

    @property
    def part_name(self) -> str:
        """The same in words."""
        return "test part" if self.is_open else "validation part"

    @cached_property
    def rows(self) -> list[Record]:
        """The rows of the leaderboard that were not skipped, best first."""
        return [row for row in self.record["rows"] if row["skipped"] is None]

    @cached_property
    def best_of_each(self) -> list[Record]:
        """The best row of each kind; of single networks that of each architecture."""
        return drawing.best_of_each(self.rows)

    @property
    def skipped(self) -> list[Record]:
        """The rows that there are none of, with why."""
        return [row for row in self.record["rows"] if row["skipped"] is not None]

    @cached_property
    def predicts(self) -> Record:
        """The row that `predict` uses."""
        said = self.record.get("predicts")
        if said is None:
            return self.rows[0]
        return {row["row"]: row for row in self.rows}[said["row"]]

    @property
    def why_it_predicts(self) -> str:
        """Why that row predicts."""
        said = self.record.get("predicts")
        return (
            f"Row 1, {self.rows[0]['kind']}, predicts: it is best by validation."
            if said is None
            else str(said["why"])
        )

    @property
    def single(self) -> Record | None:
        """The best single network, which gains are held against."""
        return next((row for row in self.rows if row["kind"] == "single"), None)

    @cached_property
    def truth(self) -> NDArray[Any]:
        """The targets of the part that curves are drawn from. [n]"""
        return self._tensor("target")

    def prediction(self, row: Record) -> NDArray[np.float64]:
        """A row's predictions for that part: probabilities [n, c] or values [n]."""
        return self._tensor(f"row.{row['row']}").astype(np.float64)

    def _tensor(self, name: str) -> NDArray[Any]:
        key = f"{self.part}.{name}"
        found: NDArray[Any] = self.run.tensors(PREDICTIONS, [key])[key].numpy()
        return found

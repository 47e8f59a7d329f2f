"""What a fit has come to, from the first group trained to the test part opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from alnico.fitting.earlier import Earlier
from alnico.fitting.leaderboard import as_records
from alnico.fitting.members import Member, TrainedGroup
from alnico.fitting.options import Options
from alnico.fitting.predicts import Predicts
from alnico.fitting.prepare import Prepared
from alnico.fitting.rows import Row
from alnico.fitting.verdict import Verdict
from alnico.searching import Study


@dataclass
class Fitted:
    """What a fit has come to.

    Args:
        options: What was asked.
        prepared: The table in parts.
        earlier: The run that it started from.
        groups: All trained groups.
        rows: The leaderboard, best first.
        studies: What was searched, by name: `family`, `fusion`.
        took: Seconds a member that each kind took when it was last tried.
        predicts: The row that predicts by default.
        verdict: Whether fusing paid; None until the test part is opened.
        status: `complete`, or `interrupted` with the test part still shut.
        seconds: From start to end.
    """

    options: Options
    prepared: Prepared
    earlier: Earlier | None = None
    groups: list[TrainedGroup] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    studies: dict[str, Study] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    predicts: Predicts | None = None
    verdict: Verdict | None = None
    status: str = "interrupted"
    seconds: float = 0.0

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of all groups."""
        return tuple(member for group in self.groups for member in group.members)

    def records(self) -> list[dict[str, Any]]:
        """The leaderboard as plain values."""
        return as_records(self.rows)

    @property
    def test_opened(self) -> bool:
        """Whether any row was scored on the test part."""
        return self.status == "complete"

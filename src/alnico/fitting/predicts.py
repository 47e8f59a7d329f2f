"""Which row predicts when nobody names one: the distilled network, if it keeps enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alnico.evaluation.metrics import Metric, gain
from alnico.fitting.leaderboard import best_single
from alnico.fitting.rows import Row

KEPT = 0.9
"""Share of the best row's gain that a distilled network must keep to predict in its place."""


@dataclass(frozen=True)
class Predicts:
    """The row that predicts.

    Args:
        row: Its number, counted from 1 in the leaderboard.
        why: A sentence that says why it is this one.
    """

    row: int
    why: str


def choose_row(ranked: Sequence[Row], metric: Metric) -> Predicts:
    """The distilled network if it keeps nine tenths of the gain on validation, else the best row.

    The gain is that of the best row over the best single network, by the run's metric.

    Args:
        ranked: Rows in order, best first.
        metric: What they are ranked by.
    """
    best, single = ranked[0], best_single(ranked)
    student = next((row for row in ranked if row.kind == "distilled" and row.nets), None)
    if student is None or single is None:
        return Predicts(1, f"Row 1, {best.kind}, predicts: it is best by validation.")
    if student is best:
        return Predicts(1, "Row 1, the distilled network, predicts: it is best by validation.")
    whole, kept = _gain(metric, best, single), _gain(metric, student, single)
    number = ranked.index(student) + 1
    if whole > 0 and kept >= KEPT * whole:
        return Predicts(
            number,
            f"Row {number}, the distilled network, predicts: by validation it keeps "
            f"{kept / whole:.0%} of the gain of {best.kind} over the best single network, with "
            f"{student.n_parameters / best.n_parameters:.1%} of its parameters.",
        )
    if whole <= 0:
        return Predicts(
            1,
            f"Row 1, {best.kind}, predicts: no fusion is better by validation, so there is no gain "
            f"that the distilled network (row {number}) could keep.",
        )
    share = f"{kept / whole:.0%}" if kept > 0 else "nothing"
    return Predicts(
        1,
        f"Row 1, {best.kind}, predicts: by validation the distilled network (row {number}) keeps "
        f"{share} of the gain, and {KEPT:.0%} is asked for.",
    )


def _gain(metric: Metric, row: Row, single: Row) -> float:
    assert row.valid_score is not None and single.valid_score is not None
    return gain(metric, row.valid_score, single.valid_score)

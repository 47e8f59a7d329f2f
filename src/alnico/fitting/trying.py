"""Every kind of row in turn: made, calibrated, scored on validation, ranked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from alnico.fitting.clock import FUSIONS_SHARE, STUDENTS_SHARE, Clock
from alnico.fitting.fitted import Fitted
from alnico.fitting.kinds import Bench, kinds
from alnico.fitting.leaderboard import rank
from alnico.fitting.prepare import Prepared
from alnico.fitting.rows import Row, calibrate
from alnico.progress import phase

REFIT = "single_refit"
STUDENTS = ("pruned", "distilled")
"""Kinds that train again, from what all other kinds have made; tried once, at the end."""


def wanted_kinds(names: tuple[str, ...]) -> list[str]:
    """The kinds to try, in the order of the registry; `single` is always among them.

    Raises:
        UnknownNameError: If a name is not registered.
    """
    for name in names:
        if name != REFIT:
            kinds[name]
    asked = {*names, "single", "linear"} if names else {*kinds, REFIT}
    if "pruned" in asked:
        asked.add("concat")  # what is pruned
    return [name for name in (*kinds, REFIT) if name in asked]


def bench_of(fitted: Fitted, clock: Clock, rows: Sequence[Row] = ()) -> Bench:
    """What kinds work with: all members so far, and rows that were made already."""
    prepared = fitted.prepared
    return Bench(
        fitted.members,
        prepared.train,
        prepared.valid,
        prepared.folds,
        prepared.encoder.inputs,
        prepared.task,
        prepared.metric,
        prepared.encoder.columns,
        list(rows),
        fitted.options.seed,
        clock.deadline(1.0, of=STUDENTS_SHARE),
    )


def try_kinds(fitted: Fitted, wanted: Sequence[str], clock: Clock) -> None:
    """Try every wanted kind over all members so far, but for those that train again.

    A kind that was tried over fewer members stays as it was, if it would take too long now.
    """
    bench, n_members = bench_of(fitted, clock), len(fitted.members)
    names = [name for name in wanted if name not in (REFIT, *STUDENTS)]
    with phase("fuse", "", total=len(names)) as work:
        for name in names:
            work.advance(text=name)
            had = [row for row in fitted.rows if row.kind == name]
            if name == "linear" and had:  # the one kind that no member changes
                bench.rows.extend(had)
            elif name != "single" and not clock.has(
                n_members * fitted.took.get(name, 0.0), share=FUSIONS_SHARE if had else 1.0
            ):
                bench.rows.extend(had or [Row(name, "", skipped="no time was left")])
            else:
                began = clock.elapsed
                bench.rows.extend(_made(name, bench, fitted.prepared))
                fitted.took[name] = (clock.elapsed - began) / n_members
        fitted.rows = rank(bench.rows, fitted.prepared.metric)
        work.say(f"{len(bench.rows)} rows of {len(names)} kinds")


def _made(name: str, bench: Bench, prepared: Prepared) -> list[Row]:
    rows = list(calibrated(kinds[name](bench), prepared))
    return rows or [Row(name, "", skipped=_WHY_NOT.get(name, "needs two members"))]


_WHY_NOT = {
    **dict.fromkeys(("soup_uniform", "soup_greedy", "soup_learned"), "needs members of one start"),
    **dict.fromkeys(("shared", "papa"), "no group was trained so"),
    "pruned": "needs a concat that can be cut back",
}


def calibrated(rows: Iterable[Row], prepared: Prepared) -> Iterator[Row]:
    """Calibrate rows and score them on validation."""
    target = prepared.target[prepared.split.valid]
    for row in rows:
        if row.skipped is None:
            calibrate(row, prepared.valid.target, prepared.folds, prepared.task)
            assert row.valid_prediction is not None, f"{row.kind}: a row to rank has outputs"
            row.valid_score = float(prepared.metric.score(target, row.valid_prediction))
        yield row


def teach(fitted: Fitted, wanted: Sequence[str], clock: Clock) -> None:
    """Prune the best wide fusion, and let the best row teach one small network."""
    bench = bench_of(fitted, clock, fitted.rows)
    for name in (name for name in wanted if name in STUDENTS):
        with phase("teach", name) as work:
            if clock.has(share=STUDENTS_SHARE):
                made = _made(name, bench, fitted.prepared)
            else:
                made = [Row(name, "", skipped="no time was left")]
            bench.rows.extend(made)
            work.say(f"{name}  {made[0].skipped or made[0].parts}")
    fitted.rows = rank(bench.rows, fitted.prepared.metric)

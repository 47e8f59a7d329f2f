"""The main job: train members, try every kind of fusion, rank by validation, open the test part."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from alnico.data.batches import Rows, concatenate
from alnico.data.table import Table
from alnico.errors import RecipeError
from alnico.fitting.clock import Clock
from alnico.fitting.kinds import Bench, kinds
from alnico.fitting.leaderboard import as_records, best_single, open_test, rank
from alnico.fitting.members import Member, Net, TrainedGroup, retrain, train_group
from alnico.fitting.options import Options
from alnico.fitting.plan import Group, first_pass, later_passes
from alnico.fitting.prepare import Prepared, prepare
from alnico.fitting.rows import Row, calibrate
from alnico.fitting.store import Store
from alnico.fitting.verdict import Verdict, verdict
from alnico.progress import phase, spaced, warn

REFIT = "single_refit"


@dataclass
class Fitted:
    """What a fit has come to.

    Args:
        options: What was asked.
        prepared: The table in parts.
        groups: All trained groups.
        rows: The leaderboard, best first.
        verdict: Whether fusing paid; None until the test part is opened.
        status: `complete`, or `interrupted` with the test part still shut.
        seconds: From start to end.
    """

    options: Options
    prepared: Prepared
    groups: list[TrainedGroup] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
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


def fit_table(table: Table, options: Options, *, store: Store | None = None) -> Fitted:
    """Fit a table.

    Args:
        table: What `alnico.data.table.read_table` gives.
        options: What is asked.
        store: Where trained groups are kept; groups found there are not trained again.

    Returns:
        The leaderboard and everything behind it; `status` is `interrupted` after Ctrl-C.

    Raises:
        DataError: If the table cannot be used.
        RecipeError: If the time limit is too short for one member.
        UnknownNameError: If a name in the options does not exist.
        KeyboardInterrupt: If it comes before a member is trained.
    """
    clock = Clock(options.time_limit)
    wanted = wanted_kinds(options.kinds)
    prepared = prepare(table, options)
    fitted = Fitted(options, prepared)
    try:
        plan = _first_pass(fitted, clock, store)
        _try_kinds(fitted, wanted, clock)
        _spend_the_rest(fitted, plan, wanted, clock, store)
        _refit(fitted, wanted, clock)
        _open_test(fitted)
        fitted.status = "complete"
    except KeyboardInterrupt:
        if not fitted.members:
            raise
        if not fitted.rows:
            _try_kinds(fitted, ["single"], Clock(None))
        for row in fitted.rows:  # all test scores are computed, or none
            row.test_score = row.gain = row.test_prediction = None
            row.test_scores = {}
    fitted.seconds = clock.elapsed
    return fitted


def wanted_kinds(names: tuple[str, ...]) -> list[str]:
    """The kinds to try, in the order of the registry; `single` is always among them.

    Raises:
        UnknownNameError: If a name is not registered.
    """
    for name in names:
        if name != REFIT:
            kinds[name]
    asked = {*names, "single", "linear"} if names else {*kinds, REFIT}
    return [name for name in (*kinds, REFIT) if name in asked]


def _first_pass(fitted: Fitted, clock: Clock, store: Store | None) -> list[Group]:
    """Train a few members of every architecture; gives back what was planned."""
    options, prepared = fitted.options, fitted.prepared
    groups = first_pass(
        prepared.encoder.inputs,
        len(prepared.train),
        seed=options.seed,
        allowed=options.optimisers,
        only=options.architectures,
    )
    if store:
        store.begin(options, prepared.table.digest)
    for i, group in enumerate(groups):
        if fitted.members and not clock.has_for_members():
            warn(f"no time left to train {group.name}", help="give a longer --time-limit")
            continue
        _train(fitted, group, clock.deadline(1 / (len(groups) - i)), store)
    if not any(m.history for m in fitted.members):
        raise RecipeError(
            f"a time limit of {options.time_limit:g} s is too short to train one member",
            help="give a longer --time-limit",
        )
    return groups


def _train(fitted: Fitted, group: Group, deadline: float | None, store: Store | None) -> None:
    prepared = fitted.prepared
    inputs, task = prepared.encoder.inputs, prepared.task
    what = f"{group.architecture.name} x{len(group.settings)}"
    with phase("train", what) as work:
        found = store.load(group, prepared.valid, inputs, task) if store else None
        if found is None:
            found = train_group(
                group,
                prepared.train,
                prepared.valid,
                inputs=inputs,
                task=task,
                deadline=deadline,
                way="auto" if fitted.options.time_limit else "rule",
            )
            if store:
                store.save(group, found)
        fitted.groups.append(found)
        losses = [
            e.valid_loss for m in found.members for e in m.history if e.valid_loss is not None
        ]
        best = f"best validation loss {min(losses):.4f}" if losses else "no epoch was finished"
        work.say(f"{what}  {best}, {_how(found)} in {found.seconds:.1f} s")


def _how(trained: TrainedGroup) -> str:
    if trained.way != "loop" or len(trained.members) == 1:
        return "together"
    return f"one by one ({trained.why})"


def _try_kinds(fitted: Fitted, wanted: list[str], clock: Clock) -> None:
    prepared = fitted.prepared
    bench = Bench(
        fitted.members,
        prepared.train,
        prepared.valid,
        prepared.folds,
        prepared.encoder.inputs,
        prepared.task,
    )
    rows: list[Row] = []
    names = [name for name in wanted if name != REFIT]
    with phase("fuse", "", total=len(names)) as work:
        for name in names:
            work.advance(text=name)
            had = [row for row in fitted.rows if row.kind == name]
            if name == "linear" and had:  # the one kind that no member changes
                rows += had
                continue
            if name != "single" and not clock.has(0.0):
                rows += had or [Row(name, "", skipped="no time was left")]
                continue
            made = list(_calibrated(kinds[name](bench), prepared))
            rows += made or [Row(name, "", skipped="needs members of one start, or two members")]
        fitted.rows = rank(rows, prepared.metric)
        work.say(f"{len(rows)} rows of {len(names)} kinds")


def _calibrated(rows: Iterator[Row], prepared: Prepared) -> Iterator[Row]:
    target = prepared.target[prepared.split.valid]
    for row in rows:
        if row.skipped is None:
            calibrate(row, prepared.valid.target, prepared.folds, prepared.task)
            assert row.valid_prediction is not None, f"{row.kind}: a row to rank has outputs"
            row.valid_score = float(prepared.metric.score(target, row.valid_prediction))
        yield row


def _spend_the_rest(
    fitted: Fitted, plan: list[Group], wanted: list[str], clock: Clock, store: Store | None
) -> None:
    """With a time limit: more members while they fit, then every kind again over all of them."""
    if clock.limit is None:
        return
    options, n_rows = fitted.options, len(fitted.prepared.train)
    before = len(fitted.groups)
    for group in later_passes(plan, n_rows, seed=options.seed, allowed=options.optimisers):
        longest = max(g.seconds for g in fitted.groups)
        if not clock.has_for_members(longest):
            break
        _train(fitted, group, clock.deadline(1.0), store)
    if len(fitted.groups) > before:
        _try_kinds(fitted, wanted, clock)


def _refit(fitted: Fitted, wanted: list[str], clock: Clock) -> None:
    """The best single network again on training and validation rows: the control for fusions."""
    if REFIT not in wanted:
        return
    prepared = fitted.prepared
    best = best_single(fitted.rows)
    assert best is not None
    member = next(m for m in fitted.members if m.name == best.parts)
    has_epochs = member.best_epoch > 0
    if not (has_epochs and clock.has(1.5 * member.seconds)):
        why = "no time was left" if has_epochs else "the best single network is an untrained one"
        fitted.rows.append(Row(REFIT, best.parts, skipped=why))
        return
    with phase("refit", f"{member.name} on training + validation rows") as work:
        began = time.monotonic()
        both = concatenate([prepared.train, prepared.valid])
        net: Net = retrain(member, both, inputs=prepared.encoder.inputs, task=prepared.task)
        row = Row(REFIT, member.name, (net,), seconds=time.monotonic() - began)
        row.calibration = best.calibration  # no validation rows are left to calibrate it on
        work.say(f"{member.name} on {spaced(len(both))} training + validation rows")
    fitted.rows = rank([*fitted.rows, row], prepared.metric)


def _open_test(fitted: Fitted) -> None:
    prepared = fitted.prepared
    with phase("test", "opening the test part") as work:
        test: Rows = prepared.open_test()
        target = prepared.target[prepared.split.test]
        open_test(
            fitted.rows,
            test,
            inputs=prepared.encoder.inputs,
            task=prepared.task,
            metric=prepared.metric,
            target=target,
            groups=prepared.test_groups(),
            seed=fitted.options.seed,
        )
        fitted.verdict = verdict(
            fitted.rows,
            metric=prepared.metric,
            target=target,
            groups=prepared.test_groups(),
            seed=fitted.options.seed,
        )
        work.say(f"opened once: {spaced(len(test))} rows, {prepared.metric.name} of every row")

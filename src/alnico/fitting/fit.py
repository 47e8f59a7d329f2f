"""The main job: train members, try every kind of fusion, rank by validation, open the test part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from torch import nn

from alnico.data.batches import Rows, concatenate
from alnico.data.table import Table
from alnico.fitting.clock import Clock
from alnico.fitting.earlier import read_earlier
from alnico.fitting.fitted import Fitted
from alnico.fitting.leaderboard import best_single, open_test, rank
from alnico.fitting.members import Net, retrain
from alnico.fitting.options import Options
from alnico.fitting.predicts import choose_row
from alnico.fitting.prepare import prepare
from alnico.fitting.rows import Row, find_leaning
from alnico.fitting.search import families_fit, search_families, search_fusions
from alnico.fitting.store import Store
from alnico.fitting.train import bring, planned, train, train_first_pass, warm_start
from alnico.fitting.trying import REFIT, bench_of, calibrated, teach, try_kinds, wanted_kinds
from alnico.fitting.verdict import verdict
from alnico.progress import phase, spaced
from alnico.searching import Study
from alnico.structures import structures


def fit_table(
    table: Table,
    options: Options,
    *,
    store: Store | None = None,
    members: Sequence[nn.Module] = (),
) -> Fitted:
    """Fit a table.

    Args:
        table: What `alnico.data.table.read_table` gives.
        options: What is asked.
        store: Where trained groups and studies are kept; what is found there is not done again.
        members: Trained modules of the user's, over the table's numbers as they are.

    Returns:
        The leaderboard and everything behind it; `status` is `interrupted` after Ctrl-C.

    Raises:
        DataError: If the table cannot be used.
        RecipeError: If the time limit is too short for one member.
        UnknownNameError: If a name in the options does not exist.
        IncompatibleModelsError: If a module does not fit the table or the task.
        RunFolderError: If the run to start from cannot be read.
        KeyboardInterrupt: If it comes before a member is trained.
    """
    clock = Clock(options.time_limit)
    wanted = wanted_kinds(options.kinds)
    earlier = read_earlier(options.start_from) if options.start_from else None
    prepared = prepare(table, options, earlier=earlier, raw=bool(members))
    fitted = Fitted(options, prepared, earlier)
    try:
        bring(fitted, members)
        train_first_pass(fitted, clock, store)
        try_kinds(fitted, wanted, clock)
        _search(fitted, wanted, clock, store)
        teach(fitted, wanted, clock)
        _refit(fitted, wanted, clock)
        _finish(fitted)
        _open_test(fitted)
        fitted.status = "complete"
    except KeyboardInterrupt:
        if not fitted.members:
            raise
        if not fitted.rows:
            try_kinds(fitted, ["single"], Clock(None))
        _finish(fitted)
        for row in fitted.rows:  # all test scores are computed, or none
            row.test_score = row.gain = row.test_prediction = None
            row.test_scores = {}
    fitted.seconds = clock.elapsed
    return fitted


def _search(fitted: Fitted, wanted: list[str], clock: Clock, store: Store | None) -> None:
    """Train more families, try every kind again over all of them, and search fusions."""
    options = fitted.options
    if options.trials == 0 or (options.trials is None and clock.limit is None):
        return

    def known(what: str) -> list[Any]:
        return store.load_study(what) if store else []

    def keep(what: str, study: Study) -> None:
        fitted.studies[what] = study
        if store:
            store.save_study(what, study)

    before = len(fitted.groups)
    fitted.studies["family"] = search_families(
        bench_of(fitted, clock),
        options,
        families_fit(
            clock,
            n_members=len(fitted.members),
            longest=max(group.seconds for group in fitted.groups),
            fusing=sum(fitted.took.values()),
        ),
        n_planned=len(planned(fitted)),
        train=lambda group: train(fitted, group, clock.deadline(1.0), store),
        add=fitted.groups.append,
        known=known("family"),
        keep=lambda study: keep("family", study),
    )
    if len(fitted.groups) > before:
        try_kinds(fitted, wanted, clock)
    fusions, rows = search_fusions(
        bench_of(fitted, clock, fitted.rows),
        [name for name in wanted if name in structures],
        clock,
        options=options,
        known=known("fusion"),
        keep=lambda study: keep("fusion", study),
    )
    if fusions is not None:
        fitted.studies["fusion"] = fusions
    found = calibrated(rows, fitted.prepared)
    fitted.rows = rank([*fitted.rows, *found], fitted.prepared.metric)


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
        why = "no time was left" if has_epochs else "the best single network was not trained here"
        fitted.rows.append(Row(REFIT, best.parts, skipped=why))
        return
    with phase("refit", f"{member.name} on training + validation rows") as work:
        began = time.monotonic()
        both = concatenate([prepared.train, prepared.valid])
        net: Net = retrain(
            member,
            both,
            inputs=prepared.encoder.inputs,
            task=prepared.task,
            warm=warm_start(fitted, member.group),
        )
        row = Row(REFIT, member.name, (net,), seconds=time.monotonic() - began)
        row.calibration = best.calibration  # no validation rows are left to calibrate it on
        work.say(f"{member.name} on {spaced(len(both))} training + validation rows")
    fitted.rows = rank([*fitted.rows, row], prepared.metric)


def _finish(fitted: Fitted) -> None:
    """Choose the row that predicts, and find out what every fusion leans on: test still shut."""
    prepared = fitted.prepared
    fitted.predicts = choose_row(fitted.rows, prepared.metric)
    said = {id(member.net.module): member.outputs for member in fitted.members}
    for row in fitted.rows:
        find_leaning(row, said, prepared.valid, inputs=prepared.encoder.inputs, task=prepared.task)


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

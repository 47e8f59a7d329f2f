from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from alnico.errors import UnknownNameError
from alnico.fitting import Bench, Fitted, Row, kind, kinds
from alnico.fitting.clock import STUDENTS_SHARE, Clock
from alnico.fitting.trying import bench_of, calibrated, teach, try_kinds, wanted_kinds

LATE = Clock(10.0, began=time.monotonic() - 9_999)
FREE = Clock(None)


@pytest.fixture
def half(searched: Fitted) -> Fitted:
    """The same members, and no rows yet."""
    return replace(searched, rows=[], studies={}, took={}, predicts=None)


def of(fitted: Fitted, name: str) -> Row:
    """The first row of a kind."""
    return next(row for row in fitted.rows if row.kind == name)


def test_the_kinds_asked_for_are_tried_beside_the_references() -> None:
    assert wanted_kinds(("average", "single_refit")) == [
        "linear",
        "single",
        "average",
        "single_refit",
    ]
    assert wanted_kinds(()) == [*kinds, "single_refit"]


def test_what_is_pruned_must_be_fused_first() -> None:
    assert wanted_kinds(("pruned",)) == ["linear", "single", "concat", "pruned"]


def test_an_unknown_kind_points_to_the_right_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'distilled'"):
        wanted_kinds(("average", "distiled"))


def test_kinds_are_tried_over_all_members_and_ranked(half: Fitted) -> None:
    try_kinds(half, ["linear", "single", "average", "stacking"], FREE)
    scores = [row.valid_score for row in half.rows]
    assert scores == sorted(scores)
    target = half.prepared.target[half.prepared.split.valid]
    for row in half.rows:
        assert row.valid_score == pytest.approx(log_loss(target, row.valid_prediction))
    blind = next(row for row in half.rows if row.parts.startswith("all "))
    assert blind.parts == f"all {len(bench_of(half, FREE).pool)} members"


def test_a_kind_sees_the_rows_of_those_before_it(half: Fitted, monkeypatch) -> None:
    monkeypatch.setattr(kinds, "_things", dict(kinds._things))
    seen: list[str] = []

    @kind("curious")
    def curious(bench: Bench) -> Iterator[Row]:
        seen.extend(row.kind for row in bench.rows)
        assert all(row.valid_score is not None for row in bench.rows)
        yield Row("curious", "", skipped="it only looks")

    try_kinds(half, ["linear", "average", "curious"], FREE)
    assert seen == ["linear", "average", "average"]
    assert half.rows[-1].skipped == "it only looks"


def test_what_found_no_time_is_shown_as_skipped_or_as_it_was(half: Fitted) -> None:
    try_kinds(half, ["single", "average"], FREE)
    before = of(half, "average")
    try_kinds(half, ["single", "average", "stacking"], LATE)
    assert of(half, "average") is before  # what was there already is not lost
    assert of(half, "stacking").skipped == "no time was left" and not of(half, "stacking").nets
    assert of(half, "single").skipped is None


def test_a_kind_that_would_take_too_long_over_more_members_stays_as_it_was(half: Fitted) -> None:
    try_kinds(half, ["single", "average", "stacking"], FREE)
    assert set(half.took) == {"single", "average", "stacking"} and min(half.took.values()) > 0
    before = of(half, "average"), of(half, "stacking")
    half.took.update(average=9.0 / len(half.members), stacking=0.0)
    try_kinds(half, ["single", "average", "stacking", "concat"], Clock(10.0))
    assert of(half, "average") is before[0] and of(half, "stacking") is not before[1]
    assert of(half, "concat").skipped is None


def test_the_linear_model_is_fitted_once_however_many_members_there_are(half: Fitted) -> None:
    try_kinds(half, ["linear", "single"], FREE)
    first = of(half, "linear")
    try_kinds(half, ["linear", "single", "average"], FREE)
    assert [row for row in half.rows if row.kind == "linear"] == [first]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("soup_greedy", "needs members of one start"),
        ("papa", "no group was trained so"),
        ("shared", "no group was trained so"),
        ("stacking", "needs two members"),
    ],
)
def test_a_kind_that_has_nothing_to_work_with_says_why(half: Fitted, name: str, why: str) -> None:
    group = half.groups[0]
    alone = replace(half, groups=[replace(group, members=group.members[:1])])
    try_kinds(alone, ["single", name], FREE)
    assert of(alone, name).skipped == why and of(alone, name).valid_score is None


def test_students_are_left_for_the_end(half: Fitted) -> None:
    try_kinds(half, ["single", "average", "pruned", "distilled", "single_refit"], FREE)
    assert {row.kind for row in half.rows} == {"single", "average"}
    best = half.rows[0]
    teach(half, ["single", "average", "distilled", "single_refit"], FREE)
    student = of(half, "distilled")
    assert student.parts == f"mlp of {best.kind}" and student.valid_score is not None
    scores = [row.valid_score for row in half.rows]
    assert scores == sorted(scores) and len(half.rows) > 3


@pytest.mark.parametrize(
    ("clock", "name", "why"),
    [
        (FREE, "pruned", "needs a concat that can be cut back"),
        (LATE, "pruned", "no time was left"),
        (LATE, "distilled", "no time was left"),
    ],
)
def test_a_student_that_cannot_be_taught_is_skipped(half: Fitted, clock, name, why) -> None:
    try_kinds(half, ["single", "average"], FREE)
    before = list(half.rows)
    teach(half, [name], clock)
    assert half.rows[:-1] == before and of(half, name).skipped == why


def test_a_bench_ends_its_work_when_students_must_end(half: Fitted) -> None:
    assert bench_of(half, FREE).deadline is None
    clock = Clock(100.0)
    bench = bench_of(half, clock, [Row("mine", "")])
    assert bench.deadline == pytest.approx(clock.began + 100 * STUDENTS_SHARE, abs=0.5)
    assert [row.kind for row in bench.rows] == ["mine"] and bench.members == half.members
    assert bench.columns.keys() == half.prepared.encoder.columns.keys()


def test_a_row_is_scored_by_predictions_that_did_not_see_its_fold(half: Fitted) -> None:
    prepared = half.prepared
    loud = Row("mine", "", outputs=20 * half.members[0].outputs.logits)
    (row,) = calibrated([loud], prepared)
    target = prepared.target[prepared.split.valid]
    raw = torch.softmax(loud.outputs, -1).numpy()
    assert row.valid_score < log_loss(target, raw) / 2  # calibration mends it
    assert row.valid_score == pytest.approx(log_loss(target, row.valid_prediction))
    skipped = Row("other", "", skipped="it would not")
    assert list(calibrated([skipped], prepared)) == [skipped] and skipped.valid_score is None
    assert np.isfinite(row.valid_prediction).all()

from __future__ import annotations

import csv
import gzip
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import datasets
from sklearn.metrics import r2_score, roc_auc_score

from alnico.data.table import read_table
from alnico.errors import RecipeError, UnknownNameError
from alnico.fitting import Bench, Fitted, Options, Store, fit_table, kind, kinds
from alnico.fitting.fit import wanted_kinds
from alnico.fitting.prepare import Prepared
from alnico.fitting.rows import Row
from alnico.progress import Event, listen

ASKED = Options(target="buys", positive="yes", architectures=("dcn",), optimisers=("adamw",))
QUICK = replace(ASKED, kinds=("average",))


def by_kind(fitted: Fitted) -> dict[str, Row]:
    """The first row of each kind: its best."""
    return {row.kind: row for row in reversed(fitted.rows)}


def quick(frame: pl.DataFrame, target: str, **asked: object) -> Fitted:
    return fit_table(read_table(frame), Options(target=target, **asked))


def test_every_kind_is_on_the_leaderboard_in_the_order_of_validation(fitted: Fitted) -> None:
    assert set(by_kind(fitted)) == {*kinds, "single_refit"}
    assert fitted.status == "complete" and fitted.test_opened
    scores = [row.valid_score for row in fitted.rows if row.valid_score is not None]
    assert scores == sorted(scores)
    assert fitted.rows[-1].kind == "single_refit" and fitted.rows[-1].valid_score is None
    assert all(row.test_score is not None for row in fitted.rows)
    assert fitted.verdict is not None and fitted.seconds > 0


def test_the_refit_is_of_the_best_single_network_and_calibrated_like_it(fitted: Fitted) -> None:
    rows = by_kind(fitted)
    assert rows["single_refit"].parts == rows["single"].parts
    assert rows["single_refit"].calibration is rows["single"].calibration
    assert rows["single_refit"].n_parameters == rows["single"].n_parameters


def test_a_run_without_a_time_limit_repeats_itself_exactly(fitted, shop: pl.DataFrame) -> None:
    torch.manual_seed(99)
    again = fit_table(read_table(shop), fitted.options)
    for one, other in zip(fitted.rows, again.rows, strict=True):
        assert (one.kind, one.parts) == (other.kind, other.parts)
        assert one.valid_score == other.valid_score and one.gain == other.gain
        assert np.array_equal(one.test_prediction, other.test_prediction)


def test_the_test_part_is_opened_once_when_nothing_is_left_to_choose(shop, monkeypatch) -> None:
    from alnico.fitting import fit

    events: list[str] = []
    steps = ("prepare", "train_group", "rank", "retrain", "open_test")
    for name in steps:
        real = getattr(fit, name)
        spy = lambda *a, _n=name, _f=real, **k: events.append(_n) or _f(*a, **k)  # noqa: E731
        monkeypatch.setattr(fit, name, spy)
    real = Prepared.open_test
    monkeypatch.setattr(Prepared, "open_test", lambda self: events.append("OPEN") or real(self))
    fit_table(read_table(shop), replace(QUICK, kinds=("average", "single_refit")))
    assert events == ["prepare", "train_group", "rank", "retrain", "rank", "OPEN", "open_test"]


def test_changing_the_test_rows_changes_nothing_but_test_scores(shop: pl.DataFrame) -> None:
    one = fit_table(read_table(shop), QUICK)
    test = pl.Series(np.isin(np.arange(len(shop)), one.prepared.split.test))
    changed = shop.with_columns(
        pl.when(test).then(pl.col("visits") * 7).otherwise("visits").alias("visits")
    )
    other = fit_table(read_table(changed), QUICK)
    assert [row.parts for row in one.rows] == [row.parts for row in other.rows]
    assert [row.valid_score for row in one.rows] == [row.valid_score for row in other.rows]
    assert one.rows[0].test_score != other.rows[0].test_score


def test_only_the_kinds_asked_for_are_tried_beside_the_references(shop: pl.DataFrame) -> None:
    fitted = fit_table(read_table(shop), QUICK)
    assert set(by_kind(fitted)) == {"linear", "single", "average"}
    assert wanted_kinds(("average", "single_refit"))[-1] == "single_refit"
    assert wanted_kinds(()) == [*kinds, "single_refit"]


def test_an_unknown_kind_is_found_before_the_table_is_looked_at() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'stacking'"):
        fit_table(read_table(pl.DataFrame({"a": [1]})), replace(ASKED, kinds=("stackng",)))


def test_a_kind_of_ones_own_is_tried_calibrated_and_ranked(shop, monkeypatch) -> None:
    monkeypatch.setattr(kinds, "_things", dict(kinds._things))

    @kind("boldest")
    def boldest(bench: Bench) -> Iterator[Row]:
        """Says everything ten times too loudly, which calibration mends."""
        member = bench.members[0]
        yield Row("boldest", member.name, (member.net,), outputs=10 * member.outputs.logits)

    @kind("shy")
    def shy(bench: Bench) -> Iterator[Row]:
        """Has a reason of its own."""
        yield Row("shy", "", skipped="does not want to")

    rows = by_kind(fit_table(read_table(shop), replace(QUICK, kinds=("boldest", "shy"))))
    twin = rows["boldest"]
    assert twin.valid_score < 0.75 and twin.test_score is not None and twin.gain is not None
    assert rows["shy"].skipped == "does not want to" and rows["shy"].valid_score is None


def test_two_classes_of_real_data_are_told_apart() -> None:
    frame = pl.from_pandas(datasets.load_breast_cancer(as_frame=True).frame)
    fitted = quick(frame, "target", architectures=("mlp",), kinds=("average", "concat"))
    for name, row in by_kind(fitted).items():
        assert row.test_scores["roc_auc"] > 0.98, name
        assert row.test_scores["accuracy"] > 0.94, name
    target = fitted.prepared.target[fitted.prepared.split.test]
    theirs = roc_auc_score(target, fitted.rows[0].test_prediction[:, 1])
    assert fitted.rows[0].test_scores["roc_auc"] == pytest.approx(theirs)


def test_three_classes_are_told_apart() -> None:
    frame = pl.from_pandas(datasets.load_iris(as_frame=True).frame)
    kinds_ = ("average", "stacking", "attention", "soup_learned")
    fitted = quick(frame, "target", architectures=("mlp",), kinds=kinds_)
    assert fitted.prepared.task.kind == "multiclass"
    for name in (*kinds_, "single"):
        row = by_kind(fitted)[name]
        assert row.test_scores["accuracy"] >= 0.9, name
        assert row.test_prediction.shape == (30, 3)


def test_a_number_is_predicted_in_its_own_units() -> None:
    frame = pl.from_pandas(datasets.load_diabetes(as_frame=True).frame)
    fitted = quick(frame, "target", architectures=("resnet",))
    target = fitted.prepared.target[fitted.prepared.split.test]
    rows = by_kind(fitted)
    for name in ("linear", "average", "concat", "stacking", "selection", "attention"):
        row = rows[name]
        assert r2_score(target, row.test_prediction) > 0.3, name
        rmse = float(np.sqrt(((row.test_prediction - target) ** 2).mean()))
        assert row.test_score == pytest.approx(rmse, rel=1e-5)
    assert fitted.prepared.metric.name == "rmse"


@pytest.fixture
def sentences(shared_data: Path) -> pl.DataFrame:
    rows: list[list[str]] = []
    for name in ("amazon", "yelp"):
        path = shared_data / "text_classification" / f"sls_{name}.tsv.gz"
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows += csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    return pl.DataFrame(rows, schema=["label", "text"], orient="row")


@pytest.mark.slow
def test_sentences_alone_are_enough(sentences: pl.DataFrame) -> None:
    fitted = quick(sentences, "label", kinds=("average", "concat", "selection"))
    assert {m.net.architecture.name for m in fitted.members} == {"text_bag", "text_gru"}
    rows = by_kind(fitted)
    assert rows["linear"].test_scores["roc_auc"] > 0.8
    assert rows["single"].test_scores["roc_auc"] > 0.75
    assert rows["selection"].test_score < rows["single"].test_score + 0.02


def test_table_and_text_meet_in_the_same_fusions(reviewed: pl.DataFrame) -> None:
    asked = {"architectures": ("mlp", "text_bag"), "kinds": ("average", "stacking")}
    fitted = quick(reviewed, "buys", optimisers=("adamw",), **asked)
    read = {m.net.architecture.name for m in fitted.members}
    assert read == {"mlp", "text_bag"}
    blind = next(row for row in fitted.rows if row.parts.startswith("all "))
    assert {net.architecture.name for net in blind.nets} == read
    singles = [row for row in fitted.rows if row.kind == "single"]
    by_name = {name: min(r.test_score for r in singles if name in r.parts) for name in read}
    assert blind.test_score < max(by_name.values())  # each knows what the other cannot see


@pytest.mark.slow
def test_within_a_time_limit_more_members_are_trained_and_every_kind_is_accounted_for(shop) -> None:
    began = time.monotonic()
    fitted = fit_table(read_table(shop), replace(ASKED, time_limit=6))
    assert time.monotonic() - began < 1.5 * 6 + 3
    assert set(by_kind(fitted)) == {*kinds, "single_refit"}
    assert len(fitted.groups) > 1 and len({m.name for m in fitted.members}) == len(fitted.members)
    assert all(row.skipped or row.test_score is not None for row in fitted.rows)
    assert fitted.status == "complete"


def test_what_found_no_time_is_shown_as_skipped_or_as_it_was(shop, monkeypatch) -> None:
    from alnico.fitting import fit

    fitted = fit_table(read_table(shop), QUICK)
    monkeypatch.setattr(fit.Clock, "has", lambda self, seconds: False)
    before = by_kind(fitted)["average"]
    fit._try_kinds(fitted, ["single", "average", "stacking"], fit.Clock(None))
    rows = by_kind(fitted)
    assert rows["average"] is before  # what was there already is not lost
    assert rows["stacking"].skipped == "no time was left" and rows["stacking"].test_score is None
    assert rows["single"].skipped is None
    fit._refit(fitted, ["single_refit"], fit.Clock(None))
    assert fitted.rows[-1].kind == "single_refit"
    assert fitted.rows[-1].skipped == "no time was left"


def test_a_limit_that_is_too_short_for_one_member_is_said(shop: pl.DataFrame) -> None:
    with pytest.raises(
        RecipeError, match=r"time limit of 0.001 s is too short to train one member"
    ):
        fit_table(read_table(shop), replace(ASKED, time_limit=0.001))


def test_progress_is_told_phase_by_phase(shop: pl.DataFrame) -> None:
    events: list[Event] = []
    with listen(events.append):
        fit_table(read_table(shop), replace(QUICK, kinds=("average", "single_refit")))
    ended = [event.phase for event in events if event.what == "finished"]
    assert [phase.name for phase in ended] == ["encode", "train", "fuse", "refit", "test"]
    assert "dcn x2  best validation loss 0." in ended[1].text
    assert ended[4].text == "opened once: 100 rows, log_loss of every row"


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C at the nth call of a function of the fit."""

    def at(name: str, n: int = 1) -> None:
        from alnico.fitting import fit

        calls: list[str] = []
        real = getattr(fit, name)

        def interrupted(*args: object, **named: object) -> object:
            calls.append(name)
            if len(calls) == n:
                raise KeyboardInterrupt
            return real(*args, **named)

        monkeypatch.setattr(fit, name, interrupted)

    return at


def test_an_interrupt_before_a_member_is_trained_leaves_nothing(shop, interrupt) -> None:
    interrupt("train_group")
    with pytest.raises(KeyboardInterrupt):
        fit_table(read_table(shop), QUICK)


@pytest.mark.parametrize(("name", "n"), [("calibrate", 2), ("retrain", 1), ("verdict", 1)])
def test_an_interrupt_keeps_the_best_so_far_and_the_test_part_shut(
    shop, interrupt, name, n
) -> None:
    interrupt(name, n)
    fitted = fit_table(read_table(shop), replace(QUICK, kinds=("average", "single_refit")))
    assert fitted.status == "interrupted" and not fitted.test_opened and fitted.verdict is None
    assert fitted.rows[0].valid_score is not None and fitted.rows[0].nets
    for row in fitted.rows:
        assert row.test_score is row.gain is row.test_prediction is None and not row.test_scores


def test_an_interrupted_run_goes_on_where_it_was_and_ends_as_if_it_never_stopped(
    shop: pl.DataFrame, interrupt, monkeypatch, tmp_path: Path
) -> None:
    asked = replace(QUICK, architectures=("dcn", "gated"))
    table = read_table(shop)
    straight = fit_table(table, asked)
    interrupt("train_group", 2)
    stopped = fit_table(table, asked, store=Store(tmp_path / "run"))
    monkeypatch.undo()
    assert [g.members[0].group.name for g in stopped.groups] == ["gated-0"]
    store = Store(tmp_path / "run")
    resumed = fit_table(table, store.resume(table.digest), store=store)
    assert resumed.status == "complete"
    for one, other in zip(straight.rows, resumed.rows, strict=True):
        assert (one.kind, one.parts, one.valid_score) == (
            other.kind,
            other.parts,
            other.valid_score,
        )
        assert np.array_equal(one.test_prediction, other.test_prediction)


@pytest.mark.slow
def test_on_a_banks_customers_fusing_beats_the_linear_model(shared_data: Path) -> None:
    table = read_table(shared_data / "bank_marketing" / "bank-full.csv.gz")
    rows = np.random.default_rng(0).permutation(table.frame.height)[:6_000]
    table = replace(table, frame=table.frame[np.sort(rows)])
    asked = {"architectures": ("mlp", "resnet"), "kinds": ("average", "stacking", "concat")}
    fitted = fit_table(table, Options(target="y", drop=("duration",), **asked))
    found = by_kind(fitted)
    fused = next(r for r in fitted.rows if r.kind not in ("linear", "single", "single_refit"))
    assert fused.test_scores["log_loss"] < found["linear"].test_scores["log_loss"]
    assert 0.72 < fused.test_scores["roc_auc"] < 0.9  # measured elsewhere on all rows: 0.80
    assert not fitted.prepared.leaks

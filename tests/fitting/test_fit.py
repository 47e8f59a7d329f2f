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
from alnico.fitting import Bench, Fitted, Options, fit_table, kind, kinds
from alnico.fitting.members import TrainedGroup
from alnico.fitting.prepare import Prepared
from alnico.fitting.rows import Row
from alnico.progress import Event, listen

ASKED = Options(
    target="buys",
    positive="yes",
    architectures=("dcn",),
    optimisers=("adamw",),
    together=("apart",),
)
QUICK = replace(ASKED, kinds=("average",))


def by_kind(fitted: Fitted) -> dict[str, Row]:
    """The first row of each kind: its best."""
    return {row.kind: row for row in reversed(fitted.rows)}


def quick(frame: pl.DataFrame, target: str, **asked: object) -> Fitted:
    return fit_table(read_table(frame), Options(target=target, together=("apart",), **asked))


def test_every_kind_is_on_the_leaderboard_in_the_order_of_validation(fitted: Fitted) -> None:
    assert set(by_kind(fitted)) == {*kinds, "single_refit"}
    assert fitted.status == "complete" and fitted.test_opened
    scores = [row.valid_score for row in fitted.rows if row.valid_score is not None]
    assert scores == sorted(scores)
    assert fitted.rows[-1].kind == "single_refit" and fitted.rows[-1].valid_score is None
    assert all(row.test_score is not None for row in fitted.rows)
    assert fitted.verdict is not None and fitted.seconds > 0
    assert not fitted.studies  # nobody asked for a search


def test_every_fusion_says_how_far_it_leans_on_whom(fitted: Fitted) -> None:
    names = {member.name for member in fitted.members}
    for row in fitted.rows:
        assert (row.leaning is not None) == (row.structure is not None and bool(row.names))
        if row.leaning is not None:
            assert set(row.names) <= names and len(row.leaning) == len(row.nets)
            assert sum(row.leaning) == pytest.approx(1) and min(row.leaning) >= 0
    assert by_kind(fitted)["concat"].leaning is not None


def test_the_row_that_predicts_is_one_of_them_and_chosen_before_the_test_part(fitted) -> None:
    chosen = fitted.rows[fitted.predicts.row - 1]
    assert chosen is fitted.rows[0] or chosen.kind == "distilled"
    assert f"Row {fitted.predicts.row}, " in fitted.predicts.why


def test_the_refit_is_of_the_best_single_network_and_calibrated_like_it(fitted: Fitted) -> None:
    rows = by_kind(fitted)
    assert rows["single_refit"].parts == rows["single"].parts
    assert rows["single_refit"].calibration is rows["single"].calibration
    assert rows["single_refit"].n_parameters == rows["single"].n_parameters


def test_a_run_without_a_time_limit_repeats_itself_exactly(fitted, shop, alike) -> None:
    torch.manual_seed(99)
    again = fit_table(read_table(shop), fitted.options)
    assert alike(fitted, again)
    assert [row.gain for row in fitted.rows] == [row.gain for row in again.rows]


def test_a_search_with_a_seed_repeats_itself_exactly(searched, small, searching, alike) -> None:
    torch.manual_seed(99)
    assert alike(searched, fit_table(read_table(small), searching))
    other = fit_table(read_table(small), replace(searching, seed=1, kinds=("average",)))
    params = [[t.params for t in run.studies["family"].trials] for run in (searched, other)]
    assert params[0] != params[1]


def test_a_search_trains_families_numbered_after_the_first_pass(searched: Fitted) -> None:
    names = [group.members[0].group.name for group in searched.groups]
    assert names == ["mlp-0", "mlp-1", "mlp-2", "mlp-3"]
    assert set(searched.studies) == {"family", "fusion"}
    assert [trial.number for trial in searched.studies["family"].trials] == [0, 1]
    singles = {row.parts for row in searched.rows if row.kind == "single"}
    later = [m for g in searched.groups[2:] for m in g.members if m.group.together == "apart"]
    assert {member.name for member in later} <= singles
    blind = next(row for row in searched.rows if row.parts.startswith("all "))
    n_pool = sum(member.group.together != "shared" for member in searched.members)
    assert blind.parts == f"all {n_pool} members"  # every kind was tried again over all of them


def test_no_trials_are_no_search_even_with_time_to_spare(small: pl.DataFrame) -> None:
    fitted = fit_table(read_table(small), replace(QUICK, trials=0, time_limit=600))
    assert fitted.studies == {} and len(fitted.groups) == 1
    assert not any("searched" in row.parts for row in fitted.rows)


def test_a_family_that_fails_is_marked_and_the_rest_goes_on_without_it(
    small: pl.DataFrame, searching: Options, searched: Fitted, monkeypatch
) -> None:
    from alnico.fitting import train

    real = train.train_group

    def broken(group, *args: object, **named: object) -> TrainedGroup:
        if group.name.endswith("-2"):
            raise ZeroDivisionError("its rate is 0")
        return real(group, *args, **named)

    monkeypatch.setattr(train, "train_group", broken)
    fitted = fit_table(read_table(small), searching)
    family = fitted.studies["family"].trials
    assert [trial.why for trial in family] == ["ZeroDivisionError: its rate is 0", None]
    assert family[0].params == searched.studies["family"].trials[0].params
    names = [group.members[0].group.name for group in fitted.groups]
    assert [name.split("-")[1] for name in names] == ["0", "1", "3"]
    assert fitted.status == "complete"
    for row in fitted.rows:
        assert row.skipped or (np.isfinite(row.valid_score) and np.isfinite(row.test_score))


def test_the_test_part_is_opened_once_when_nothing_is_left_to_choose(shop, monkeypatch) -> None:
    from alnico.fitting import fit, train, trying

    events: list[str] = []
    steps = [(fit, "prepare"), (train, "train_group"), (trying, "rank"), (fit, "search_fusions")]
    steps += [(trying, "teach"), (fit, "teach"), (fit, "retrain"), (fit, "choose_row")]
    for room, name in [*steps, (fit, "open_test")]:
        real = getattr(room, name)
        spy = lambda *a, _n=name, _f=real, **k: events.append(_n) or _f(*a, **k)  # noqa: E731
        monkeypatch.setattr(room, name, spy)
    real = Prepared.open_test
    monkeypatch.setattr(Prepared, "open_test", lambda self: events.append("OPEN") or real(self))
    asked = replace(QUICK, kinds=("average", "single_refit", "distilled"), trials=1)
    fit_table(read_table(shop), asked)
    pass_ = ["train_group", "rank"]
    search = ["search_fusions", "teach", "rank", "retrain", "choose_row"]
    assert events == ["prepare", *pass_, *pass_, *search, "OPEN", "open_test"]


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
def test_within_a_time_limit_more_members_are_trained_and_every_kind_is_accounted_for(
    small,
) -> None:
    began = time.monotonic()
    fitted = fit_table(read_table(small), replace(ASKED, time_limit=12))
    assert time.monotonic() - began < 12 + 3
    assert set(by_kind(fitted)) == {*kinds, "single_refit"}
    assert len(fitted.groups) > 1 and len({m.name for m in fitted.members}) == len(fitted.members)
    assert fitted.studies["family"].trials and fitted.predicts is not None
    assert all(row.skipped or row.test_score is not None for row in fitted.rows)
    assert fitted.status == "complete"


@pytest.mark.parametrize("room", ["clock", "epochs"])
def test_a_refit_that_has_no_time_or_no_epochs_is_skipped(small, room: str, monkeypatch) -> None:
    from alnico.fitting import fit

    if room == "clock":
        monkeypatch.setattr(fit.Clock, "has", lambda self, seconds=0.0, *, share=1.0: seconds == 0)
        why, members = "no time was left", []
    else:
        small = small.select("visits", "buys")
        why = "the best single network was not trained here"
        members = [torch.nn.Sequential(torch.nn.Linear(1, 2))]
        monkeypatch.setattr(fit, "train_first_pass", lambda *_: None)
    asked = replace(QUICK, kinds=("single_refit",))
    fitted = fit_table(read_table(small), asked, members=members)
    assert (fitted.rows[-1].kind, fitted.rows[-1].skipped) == ("single_refit", why)
    assert fitted.status == "complete"


def test_together_restricts_the_schemes_and_papas_members_stand_as_single_networks(small) -> None:
    asked = replace(QUICK, together=("papa",), kinds=("papa", "shared", "average"))
    fitted = fit_table(read_table(small), asked)
    assert {member.group.together for member in fitted.members} == {"papa"}
    rows = by_kind(fitted)
    assert rows["shared"].skipped == "no group was trained so"
    assert rows["papa"].skipped is None
    singles = {row.parts for row in fitted.rows if row.kind == "single"}
    assert singles == {member.name for member in fitted.members}


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

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from alnico.data.table import read_table
from alnico.errors import DataError, RecipeError, UnknownNameError
from alnico.fitting import Fitted, Options, fit_table, save_run
from alnico.fitting.earlier import read_earlier
from alnico.fitting.prepare import Prepared, prepare
from alnico.progress import Event, listen

ASKED = Options(target="buys", positive="yes")


def sums(prepared: Prepared) -> list[float]:
    assert isinstance(prepared.train.inputs, dict)
    return [float(tensor.double().sum()) for tensor in prepared.train.inputs.values()]


def test_parts_are_60_20_20_of_all_rows_with_the_same_share_of_buyers(prepared: Prepared) -> None:
    split = prepared.split
    rows = np.concatenate([split.train, split.valid, split.test])
    assert sorted(rows.tolist()) == list(range(500))
    assert [len(split.train), len(split.valid), len(split.test)] == pytest.approx(
        [300, 100, 100], abs=1
    )
    share = prepared.target.mean()
    for part in (split.train, split.valid, split.test):
        assert prepared.target[part].mean() == pytest.approx(share, abs=0.02)


def test_targets_are_the_class_of_each_row_with_the_positive_one_last(
    prepared: Prepared, shop: pl.DataFrame
) -> None:
    assert prepared.task.classes == ("no", "yes")
    truth = (shop["buys"] == "yes").to_numpy()
    assert (prepared.target == truth).all()
    assert prepared.train.target.tolist() == truth[prepared.split.train].tolist()
    assert prepared.valid.target.tolist() == truth[prepared.split.valid].tolist()


def test_encodings_are_learned_from_training_rows_alone(reviewed: pl.DataFrame) -> None:
    before = prepare(read_table(reviewed), ASKED)
    # other rows: other numbers, levels and words that training never saw
    others = np.ones(len(reviewed), bool)
    others[before.split.train] = False
    mask = pl.Series(others)
    changed = reviewed.with_columns(
        pl.when(mask).then(pl.col("visits") * 1_000 + 5).otherwise("visits").alias("visits"),
        pl.when(mask).then(pl.lit("xx")).otherwise("country").alias("country"),
        pl.when(mask)
        .then(pl.col("words").str.replace_all("great", "dreadful"))
        .otherwise("words")
        .alias("words"),
    )
    after = prepare(read_table(changed), ASKED)
    assert (after.split.train == before.split.train).all()
    assert after.encoder.levels == before.encoder.levels
    assert after.encoder.vocabulary.words == before.encoder.vocabulary.words
    assert after.encoder.inputs == before.encoder.inputs
    assert sums(after) == sums(before)
    assert after.valid.inputs["quantile"][:, 0].min() == 1.0
    assert (after.valid.inputs["categories"] == 0).any()


def test_numbers_are_standardised_over_the_training_part(
    prepared: Prepared, shop: pl.DataFrame
) -> None:
    logs = np.log1p(shop["visits"].to_numpy())[:, None]
    scaler = StandardScaler().fit(logs[prepared.split.train])
    for rows, part in ((prepared.train, "train"), (prepared.valid, "valid")):
        theirs = scaler.transform(logs[getattr(prepared.split, part)])[:, 0]
        np.testing.assert_allclose(rows.inputs["log"][:, 0], theirs, atol=1e-5)


def test_the_test_part_is_not_encoded_until_it_is_opened(shop: pl.DataFrame, monkeypatch) -> None:
    from alnico.data.encode import Encoder

    seen: list[pl.DataFrame] = []
    encode = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, f: seen.append(f) or encode(self, f))
    prepared = prepare(read_table(shop), ASKED)
    test = shop[prepared.split.test]
    assert sum(frame.height for frame in seen) == 500 - test.height
    assert not set(test["visits"]) & {v for frame in seen for v in frame["visits"]}
    opened = prepared.open_test()
    assert seen[-1]["visits"].to_list() == test["visits"].to_list()
    assert opened.target.tolist() == (test["buys"] == "yes").cast(int).to_list()


def test_folds_cover_the_validation_rows_evenly(prepared: Prepared) -> None:
    assert len(prepared.folds) == len(prepared.valid)
    assert torch.bincount(prepared.folds).tolist() == [20] * 5


def test_a_regression_is_standardised_by_its_training_rows() -> None:
    x = np.random.default_rng(0).normal(size=300)
    frame = pl.DataFrame({"x": x, "price": 500 + 70 * x.round(4)})
    prepared = prepare(read_table(frame), Options(target="price"))
    train = frame["price"].to_numpy()[prepared.split.train]
    assert prepared.task.kind == "regression"
    assert prepared.task.center == pytest.approx(train.mean(), rel=1e-6)
    assert prepared.task.scale == pytest.approx(train.std(), rel=1e-5)
    theirs = StandardScaler().fit(train[:, None])
    np.testing.assert_allclose(
        prepared.valid.target,
        theirs.transform(frame["price"].to_numpy()[prepared.split.valid, None])[:, 0],
        atol=1e-4,
    )
    assert prepared.target.dtype == np.float32  # scores are in the target's units
    assert prepared.metric.name == "rmse"


@pytest.fixture
def dated(shop: pl.DataFrame) -> pl.DataFrame:
    month = [1 + i * 10 // len(shop) for i in range(len(shop))]
    day = pl.date(2024, pl.Series(month), 1)
    return shop.with_columns(day.alias("cutoff"), day.dt.offset_by("45d").alias("window_end"))


def test_a_split_by_time_leaves_out_windows_that_reach_into_the_test_part(
    dated: pl.DataFrame,
) -> None:
    prepared = prepare(read_table(dated), replace(ASKED, time_column="cutoff"))
    split = prepared.split
    assert dated["cutoff"][split.valid].min() > dated["cutoff"][split.train].max()
    start = dated["cutoff"][split.test].min()
    assert start > dated["cutoff"][split.valid].max()
    for part in (split.train, split.valid):
        assert dated["window_end"][part].max() <= start
    assert len(split.train) + len(split.valid) + len(split.test) == 450  # a month is left out
    features = {column.name for column in prepared.encoder.schema.columns}
    assert "window_end" not in features


def test_a_group_is_never_in_two_parts(shop: pl.DataFrame) -> None:
    frame = shop.with_columns(customer=pl.Series([i % 60 for i in range(500)]))
    prepared = prepare(read_table(frame), replace(ASKED, group="customer"))
    split = prepared.split
    found = [set(frame["customer"][part]) for part in (split.train, split.valid, split.test)]
    assert not found[0] & found[1] and not found[0] & found[2] and not found[1] & found[2]
    assert prepared.test_groups().tolist() == frame["customer"][split.test].to_list()
    groups = frame["customer"][split.valid].to_numpy()
    for customer in set(groups):
        assert len(set(prepared.folds.numpy()[groups == customer])) == 1


def test_without_groups_test_rows_have_none(prepared: Prepared) -> None:
    assert prepared.test_groups() is None


def test_a_column_that_gives_the_target_away_is_named_with_its_score(shop: pl.DataFrame) -> None:
    events: list[Event] = []
    frame = shop.with_columns(refund=(pl.col("buys") == "yes").cast(int) * 3 + 1)
    with listen(events.append):
        prepared = prepare(read_table(frame), ASKED)
    assert [leak.column for leak in prepared.leaks] == ["refund"]
    warning = next(event for event in events if event.what == "warning")
    assert "column 'refund' gives 'buys' away by itself: AUC 1.000" in warning.phase.text
    assert "--drop 'refund'" in str(warning.help)
    assert not prepare(read_table(frame), replace(ASKED, drop=("refund",))).leaks


def test_facts_are_told_before_anything_is_trained(shop: pl.DataFrame) -> None:
    events: list[Event] = []
    with listen(events.append):
        prepare(read_table(shop), ASKED)
    told = {event.phase.name: event.phase.text for event in events}
    assert told["table"] == "500 rows, 2 numbers, 1 category"
    assert "buys has 2 classes" in told["target"] and told["target"].endswith("% yes")
    assert "the test part is opened once" in told["split"]


def test_numbers_as_they_are_stand_beside_their_encodings_for_networks_of_ones_own(shop) -> None:
    plain, raw = (prepare(read_table(shop), ASKED, raw=raw) for raw in (False, True))
    assert set(raw.valid.inputs) - set(plain.valid.inputs) == {"raw"}
    wanted = shop[raw.split.valid].select("visits", "age").to_numpy().astype(np.float32)
    np.testing.assert_array_equal(raw.valid.inputs["raw"], wanted)
    assert "raw" in raw.open_test().inputs and raw.encoder.columns["raw"].tolist() == [0, 1]
    assert raw.encoder.inputs == plain.encoder.inputs  # no network of ours reads them


def test_a_run_that_starts_from_another_reads_the_table_as_that_one_did(
    small, searching: Options, searched: Fitted, run: Path, shop: pl.DataFrame
) -> None:
    earlier = read_earlier(run)
    events: list[Event] = []
    later = shop[200:].with_columns(pl.col("visits") * 9)
    with listen(events.append):
        prepared = prepare(read_table(later), replace(ASKED, start_from=str(run)), earlier=earlier)
    own = prepare(read_table(later), ASKED)
    theirs = searched.prepared.encoder
    assert np.array_equal(prepared.encoder.quantiles, theirs.quantiles)
    assert not np.array_equal(prepared.encoder.quantiles, own.encoder.quantiles)
    assert prepared.task == searched.prepared.task
    assert len(prepared.train) == 180 and np.array_equal(prepared.split.test, own.split.test)
    told = {event.phase.name: event.phase.text for event in events}
    n = len(searched.members)
    assert told["start"] == f"{n} members of {run}, and its encodings"
    assert told["encode"].endswith(f", as in {run}")


def test_a_regression_that_starts_from_another_keeps_its_units(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=200)
    frame = pl.DataFrame({"x": x, "price": 500 + 70 * x.round(4)})
    asked = Options("price", architectures=("dcn",), kinds=("linear",), together=("apart",))
    first = fit_table(read_table(frame), asked)
    save_run(tmp_path / "run", first)
    dearer = frame.with_columns(pl.col("price") + 1_000, pl.col("x") + 0.001)
    prepared = prepare(read_table(dearer), asked, earlier=read_earlier(tmp_path / "run"))
    assert prepared.task == first.prepared.task
    back = prepared.train.target * prepared.task.scale + prepared.task.center
    wanted = dearer["price"].to_numpy()[prepared.split.train]
    np.testing.assert_allclose(back, wanted, rtol=1e-5)


def test_a_class_that_the_earlier_run_did_not_know_is_refused(run: Path, small) -> None:
    frame = small.with_columns(buys=pl.lit("perhaps"))
    with pytest.raises(DataError, match="perhaps"):
        prepare(read_table(frame), ASKED, earlier=read_earlier(run))


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        (Options(target="bys"), (DataError, UnknownNameError), "did you mean 'buys'"),
        (replace(ASKED, metric="log_los"), UnknownNameError, "did you mean 'log_loss'"),
        (replace(ASKED, metric="rmse"), RecipeError, "rmse does not score a binary task"),
        (replace(ASKED, drop=("contry",)), UnknownNameError, "did you mean 'country'"),
        (replace(ASKED, task="regression"), DataError, "not a number"),
    ],
)
def test_what_cannot_be_done_is_said(shop: pl.DataFrame, asked, error, text) -> None:
    with pytest.raises(error, match=text):
        prepare(read_table(shop), asked)


def test_an_infinite_value_is_refused(shop: pl.DataFrame) -> None:
    frame = shop.with_columns(pl.lit(float("inf")).alias("age"))
    with pytest.raises(DataError, match="infinite values in 'age'"):
        prepare(read_table(frame.with_columns(age=pl.Series([1.5, float("inf")] * 250))), ASKED)

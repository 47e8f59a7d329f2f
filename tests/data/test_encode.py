from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer
from torch import Tensor

from alnico.data.encode import KNOTS, Encoder, fit_encoder
from alnico.data.schema import Column, ColumnType, Schema
from alnico.types import Inputs


def schema_of(**types: ColumnType) -> Schema:
    return Schema(tuple(Column(name, kind, 0, 0) for name, kind in types.items()), (), "target")


def numbers(**values: object) -> tuple[pl.DataFrame, Schema]:
    schema = schema_of(**dict.fromkeys(values, "number"))
    return pl.DataFrame(values, strict=False).cast(pl.Float64), schema


def encoded(train: pl.DataFrame, schema: Schema, new: pl.DataFrame | None = None):
    encoder = fit_encoder(train, schema)
    return encoder.encode(train if new is None else new)


def everything(n: int = 60) -> tuple[pl.DataFrame, Schema]:
    random = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "price": [
                None if i % 7 == 0 else float(x) for i, x in enumerate(random.normal(size=n))
            ],
            "rows": [("red", "blue", None)[i % 3] for i in range(n)],
            "member": [(True, False, None)[i % 3] for i in range(n)],
            "at": [datetime(2024, 1, 1 + i % 28, i % 24) for i in range(n)],
            "at weekday": [float(i) for i in range(n)],
            "title": [f"a {('good', 'bad')[i % 2]} dress" for i in range(n)],
            "review": [None if i % 5 == 0 else "it fits well" for i in range(n)],
        }
    )
    types: tuple[ColumnType, ...] = ("number", "category", "boolean", "datetime", "number")
    schema = schema_of(**dict(zip(frame.columns, (*types, "text", "text"), strict=True)))
    return frame, schema


@pytest.mark.parametrize("n", [40, 256, 1_000])
def test_quantiles_equal_those_of_scikit_learn_between_the_ends(n: int) -> None:
    random = np.random.default_rng(n)
    train = np.stack([random.lognormal(size=n), random.poisson(3, n).astype(float)], 1)
    new = np.stack([random.lognormal(size=500), random.integers(1, 7, 500).astype(float)], 1)
    theirs = QuantileTransformer(n_quantiles=min(KNOTS, n), subsample=None).fit(train)
    frame, schema = numbers(a=train[:, 0], b=train[:, 1])
    ours = encoded(frame, schema, pl.DataFrame({"a": new[:, 0], "b": new[:, 1]}))["quantile"]
    inside = ((new > train.min(0)) & (new < train.max(0))).all(1)
    assert inside.sum() > 100
    differences = np.abs(ours.numpy() - theirs.transform(new))[inside]
    assert differences[:, 0].max() < 1e-6
    # a knot that rounding moves by 1e-15 moves a tie by half a rank, there and here
    assert differences[:, 1].max() < 0.5 / (min(KNOTS, n) - 1) + 1e-6


def test_values_beyond_the_training_rows_are_clipped() -> None:
    frame, schema = numbers(a=np.arange(10.0))
    new = pl.DataFrame({"a": [-1e300, -0.001, 9.001, 1e300]})
    batch = encoded(frame, schema, new)
    assert batch["quantile"].flatten().tolist() == [0, 0, 1, 1]
    assert batch["log"].abs().max() == 8 and batch["log"].isfinite().all()


def test_a_value_that_many_share_lies_in_the_middle_of_its_ranks() -> None:
    # half of all customers bought nothing: they are the lower half, not the bottom
    frame, schema = numbers(a=np.r_[np.zeros(128), np.arange(1.0, 129)])
    quantile = encoded(frame, schema)["quantile"].flatten()
    ranks = np.arange(256) / 255
    assert quantile[0] == pytest.approx(ranks[:128].mean(), abs=1e-6)
    np.testing.assert_allclose(quantile[128:], ranks[128:], atol=1e-6)


def test_the_log_encoding_is_the_standardised_signed_log() -> None:
    values = np.array([-1000.0, -1, 0, 0.5, 3, 1e6])
    frame, schema = numbers(a=values)
    logs = np.array([-np.log(1001), -np.log(2), 0, np.log(1.5), np.log(4), np.log(1e6 + 1)])
    expected = (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(encoded(frame, schema)["log"].flatten(), expected, rtol=1e-5)


def test_missing_numbers_lie_in_the_middle_and_have_an_indicator() -> None:
    frame, schema = numbers(a=[1.0, None, 3.0, 5.0], b=[1.0, 2.0, 3.0, 4.0])
    encoder = fit_encoder(frame, schema)
    assert encoder.inputs == Inputs(numbers=2, missing=1)
    batch = encoder.encode(frame)
    assert (batch["quantile"][1, 0], batch["log"][1, 0]) == (0.5, 0)
    assert batch["missing"].tolist() == [[0], [1], [0], [0]]
    # b is missing for the first time: no indicator, but values that say nothing
    batch = encoder.encode(pl.DataFrame({"a": [1.0], "b": [None]}, schema=frame.schema))
    assert (batch["quantile"][0, 1], batch["log"][0, 1]) == (0.5, 0)
    assert batch["missing"].tolist() == [[0]]


def test_missing_numbers_do_not_shift_the_others() -> None:
    full, schema = numbers(a=[1.0, 4.0, 9.0])
    holed, _ = numbers(a=[1.0, None, 4.0, 9.0, None])
    for name in ("mean", "std"):
        assert getattr(fit_encoder(holed, schema), name) == getattr(fit_encoder(full, schema), name)


@pytest.mark.parametrize("value", [None, 7.0])
def test_a_number_of_one_value_or_none_is_encoded_as_nothing_new(value: float | None) -> None:
    frame, schema = numbers(a=[value] * 9, b=np.arange(9.0))
    batch = encoded(frame.with_columns(pl.col("a").cast(pl.Float64)), schema)
    assert (batch["quantile"][:, 0] == 0.5).all() and (batch["log"][:, 0] == 0).all()


def test_levels_go_by_frequency_then_name_and_unseen_ones_are_0() -> None:
    values = ["b"] * 3 + ["a"] * 3 + ["c"] * 4 + ["rare"] * 2
    frame, schema = pl.DataFrame({"x": values}), schema_of(x="category")
    encoder = fit_encoder(frame, schema)
    assert encoder.levels == (("c", "a", "b"),)
    new = pl.DataFrame({"x": ["a", "b", "c", "rare", "new", None]})
    assert encoder.encode(new)["categories"].tolist() == [[2], [3], [1], [0], [0], [0]]
    assert encoder.inputs.categories == (4,)


def test_a_missing_category_is_a_level_and_not_the_word_none() -> None:
    frame = pl.DataFrame({"x": ["None", None] * 4})
    encoder = fit_encoder(frame, schema_of(x="category"))
    assert encoder.levels == (("None", None),)
    assert encoder.encode(frame)["categories"].flatten().tolist() == [1, 2] * 4


def test_booleans_are_two_levels() -> None:
    frame = pl.DataFrame({"x": [True, True, True, True, False, False, False]})
    encoder = fit_encoder(frame, schema_of(x="boolean"))
    assert encoder.encode(frame)["categories"].flatten().tolist() == [1] * 4 + [2] * 3


def test_a_date_time_becomes_day_weekday_day_of_the_year_and_hour() -> None:
    times = [datetime(1970, 1, 1), datetime(2024, 2, 29, 18), datetime(2024, 12, 31, 6)]
    frame = pl.DataFrame({"t": times})
    encoder = fit_encoder(frame, schema_of(t="datetime"))
    parts = [
        [(t - times[0]).total_seconds() / 86_400, t.isoweekday(), t.timetuple().tm_yday, t.hour]
        for t in times
    ]
    np.testing.assert_allclose(encoder.mean, np.log1p(parts).mean(0))
    np.testing.assert_allclose(encoder.quantiles[:, [0, -1]].T, np.sort(parts, 0)[[0, -1]])


def test_every_type_at_once_fills_what_inputs_describes() -> None:
    frame, schema = everything()
    encoder = fit_encoder(frame, schema)
    batch, inputs = encoder.encode(frame), encoder.inputs
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in batch.items()}
    assert (inputs.numbers, inputs.missing, inputs.categories) == (1 + 1 + 4, 1, (4, 4))
    assert shapes["quantile"] == shapes["log"] == (6,)
    assert shapes["missing"] == (1,) and shapes["categories"] == (2,)
    assert batch["words"].max() < inputs.words and batch["bag"].max() < inputs.bag
    assert encoder.vocabulary is not None and "dress it" not in encoder.vocabulary.pairs
    assert all(len(tensor) == frame.height for tensor in batch.values())
    dtypes = {tensor.dtype for name, tensor in batch.items()}
    assert dtypes == {torch.float32, torch.int32}


def test_rows_are_encoded_one_by_one() -> None:
    frame, schema = everything()
    encoder = fit_encoder(frame, schema)
    batch, some = encoder.encode(frame), [3, 17, 40]
    for name, tensor in encoder.encode(frame[some]).items():
        assert torch.equal(batch[name][some][:, : tensor.shape[1]], tensor)


def test_an_encoder_survives_the_run_folder() -> None:
    frame, schema = everything()
    encoder = fit_encoder(frame, schema)
    record = json.loads(json.dumps(encoder.to_json(), allow_nan=False))
    again = Encoder.from_json(record, encoder.arrays())
    assert again.inputs == encoder.inputs and again.schema == encoder.schema
    same(again.encode(frame), encoder.encode(frame))


def test_a_table_without_text_or_numbers_survives_the_run_folder() -> None:
    frame = pl.DataFrame({"x": ["a", "b", "c"] * 4})
    encoder = fit_encoder(frame, schema_of(x="category"))
    assert encoder.inputs == Inputs(categories=(4,))
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())), encoder.arrays())
    batch = again.encode(frame)
    assert list(batch) == ["categories"]
    same(batch, encoder.encode(frame))


def test_text_alone_makes_words_and_bags_alone() -> None:
    frame = pl.DataFrame({"t": ["a good dress", None, "", "a good coat"] * 3})
    encoder = fit_encoder(frame, schema_of(t="text"))
    assert encoder.inputs == Inputs(words=3 + 4, bag=1 + 4 + 3)
    batch = encoder.encode(frame)
    assert sorted(batch) == ["bag", "bag_weight", "words"]
    assert (batch["words"] != 0).sum(1).tolist() == [3, 0, 0, 3] * 3


def test_numbers_as_they_are_come_along_when_asked_for() -> None:
    frame, schema = everything()
    plain = fit_encoder(frame, schema)
    encoder = replace(plain, raw=True)
    batch = encoder.encode(frame)
    raw = batch.pop("raw")
    same(batch, plain.encode(frame))
    assert raw.shape == batch["log"].shape and raw.dtype == torch.float32
    price = np.array(frame["price"].to_list(), np.float32)
    np.testing.assert_array_equal(raw[:, 0], price)  # a missing number is NaN, none is put there
    np.testing.assert_array_equal(raw[:, 1], np.arange(60))
    assert raw[:, 5].tolist() == [i % 24 for i in range(60)]  # the hour, last of the date's parts
    assert encoder.inputs == plain.inputs
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())), encoder.arrays())
    assert again.raw and list(again.encode(frame)) == list(encoder.encode(frame))
    older = {k: v for k, v in plain.to_json().items() if k != "raw"}
    assert not Encoder.from_json(older, plain.arrays()).raw


def test_columns_say_which_cells_follow_from_which_column() -> None:
    frame, schema = everything()
    encoder = replace(fit_encoder(frame, schema), raw=True)
    batch, columns = encoder.encode(frame), encoder.columns
    assert set(columns) == set(batch) - {"words", "bag", "bag_weight"}
    for number, column in enumerate(schema.columns):
        other = frame.with_columns(frame[column.name].gather([*range(7, 60), *range(7)]))
        for key, tensor in encoder.encode(other).items():
            if key in columns:
                same_cells = (tensor == batch[key]) | (tensor.isnan() & batch[key].isnan())
                assert torch.equal(~same_cells.all(0), columns[key] == number), (key, column.name)


def test_columns_of_a_table_without_numbers_or_of_text_alone() -> None:
    frame = pl.DataFrame({"t": ["a good dress"] * 9, "x": ["a", "b", "c"] * 3})
    encoder = fit_encoder(frame, schema_of(t="text", x="category"))
    assert {key: ids.tolist() for key, ids in encoder.columns.items()} == {"categories": [1]}
    assert fit_encoder(frame, schema_of(t="text")).columns == {}


def test_ten_thousand_columns_take_seconds() -> None:
    values = np.random.default_rng(0).normal(size=(50, 10_000))
    frame = pl.DataFrame(values, schema=[f"c{i}" for i in range(10_000)])
    schema = schema_of(**dict.fromkeys(frame.columns, "number"))
    began = time.process_time()
    batch = encoded(frame, schema)
    assert time.process_time() - began < 10
    assert batch["quantile"].shape == batch["log"].shape == (50, 10_000)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)

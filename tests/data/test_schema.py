from __future__ import annotations

import json
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from alnico import progress
from alnico.data.schema import Column, Dropped, Schema, conform, infer_schema
from alnico.data.table import read_table
from alnico.errors import DataError, UnknownNameError

N = 120


def shop() -> pl.DataFrame:
    """A small table with a column of each type, an id, an id of a group, and a constant."""
    return pl.DataFrame(
        {
            "order": range(N),
            "customer": [f"c{i // 2}" for i in range(N)],
            "age": [None if i == 3 else 20 + i * i % 50 for i in range(N)],
            "city": ["Kiel", "Ulm", "Jena"] * (N // 3),
            "member": [True, False] * (N // 2),
            "since": [date(2024, 1, 1 + i % 28) for i in range(N)],
            "note": [f"please ring at door {i}" for i in range(N)],
            "country": "DE",
            "fax": pl.Series([None] * N, dtype=pl.String),
            "buys": [0, 1] * (N // 2),
        }
    )


def small(**columns: Any) -> Schema:
    return Schema(tuple(Column(n, t, 0, 2) for n, t in columns.items()), (), "y")


def test_every_column_is_typed_or_dropped_with_a_reason() -> None:
    schema = infer_schema(shop(), target="buys")
    assert [(c.name, c.type, c.n_missing) for c in schema.columns] == [
        ("age", "number", 1),
        ("city", "category", 0),
        ("member", "boolean", 0),
        ("since", "datetime", 0),
        ("note", "text", 0),
    ]
    assert schema.columns[1].n_unique == 3
    assert schema.summary() == (
        "1 number, 1 category, 1 boolean, 1 date-time, 1 text; dropped: order (id), "
        "customer (id of a group), country (constant), fax (all missing)"
    )


def test_the_summary_counts_and_cuts_long_lists() -> None:
    columns = tuple(Column(f"c{i}", "category", 0, 2) for i in range(3))
    dropped = tuple(Dropped(f"d{i}", "id: details") for i in range(10))
    summary = Schema(columns, dropped, "y").summary()
    assert summary.startswith("3 categories; dropped: d0 (id), ")
    assert summary.endswith("d7 (id), ... 2 more")


def test_a_schema_survives_json() -> None:
    schema = infer_schema(shop(), target="buys")
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_wishes_overrule_what_was_found() -> None:
    schema = infer_schema(
        shop(), target="buys", drop=["note"], text=["city"], category=["order", "age"]
    )
    assert {c.name: c.type for c in schema.columns if c.name in ("city", "order", "age")} == {
        "order": "category",
        "age": "category",
        "city": "text",
    }
    assert Dropped("note", "as asked") in schema.dropped


def test_columns_of_the_split_are_no_features() -> None:
    schema = infer_schema(
        shop(), target="buys", group="customer", time="since", window_end="order", drop=["since"]
    )
    why = {dropped.name: dropped.why for dropped in schema.dropped}
    assert why["customer"] == "group of the split"
    assert why["since"] == "time of the split"
    assert why["order"] == "end of window of the split"


def test_an_id_of_a_group_is_warned_of_unless_the_split_keeps_groups() -> None:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        infer_schema(shop(), target="buys")
        infer_schema(shop(), target="buys", group="customer")
    assert len(heard) == 1
    assert "'customer'" in heard[0].phase.text
    assert "--group" in str(heard[0].help)


@pytest.mark.parametrize(
    "wish",
    [
        {"target": "buyss"},
        {"target": "buys", "drop": ["citty"]},
        {"target": "buys", "text": ["nott"]},
        {"target": "buys", "category": ["Age "]},
        {"target": "buys", "group": "custmer"},
        {"target": "buys", "time": "sinse"},
        {"target": "buys", "window_end": "ordr"},
    ],
)
def test_an_unknown_name_points_to_the_near_one(wish: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match=r"has no column (?s:.*)did you mean"):
        infer_schema(shop(), **wish)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"text": ["city"], "category": ["city"]}, "both text and category"),
        ({"text": ["city"], "drop": ["city"]}, "left out .* and read as text"),
        ({"category": ["customer"], "group": "customer"}, "group of the split"),
        ({"drop": ["buys"]}, "'buys' is the target"),
        ({"category": ["buys"]}, "'buys' is the target"),
    ],
)
def test_contradicting_wishes_are_refused(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        infer_schema(shop(), target="buys", **wish)


def test_a_table_without_features_or_of_one_row_is_refused() -> None:
    frame = shop().select("order", "country", "buys")
    with pytest.raises(DataError, match=r"no column is left .*; dropped: order \(id\), country"):
        infer_schema(frame, target="buys")
    with pytest.raises(DataError, match="single row"):
        infer_schema(shop()[:1], target="buys")


def test_conforming_selects_orders_and_types_the_columns() -> None:
    schema = infer_schema(shop(), target="buys")
    mixed_up = shop().select(reversed(shop().columns)).drop("buys", "order")
    frame = conform(mixed_up, schema, source="new.csv")
    assert frame.columns == [column.name for column in schema.columns]
    assert frame.dtypes == [pl.Float64, pl.String, pl.Boolean, pl.Datetime("us"), pl.String]
    assert frame["age"].to_list() == shop()["age"].to_list()
    assert frame.equals(conform(frame, schema, source="again"))


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ("number", ["1", " 2.5", None], [1.0, 2.5, None]),
        ("number", [True, False, None], [1.0, 0.0, None]),
        ("number", [1.0, float("nan"), None], [1.0, None, None]),
        ("number", [None, None, None], [None, None, None]),
        ("category", [1.0, 2.5, None], ["1", "2.5", None]),
        ("category", [1, 2, None], ["1", "2", None]),
        ("category", [" a ", "b", " "], ["a", "b", None]),
        ("category", [date(2024, 1, 1), None, None], ["2024-01-01", None, None]),
        ("text", [1, 2, None], ["1", "2", None]),
        ("boolean", ["true", "FALSE", None], [True, False, None]),
        ("boolean", ["1", "0", None], [True, False, None]),
        ("boolean", [1.0, 0.0, None], [True, False, None]),
        ("datetime", ["2024-01-01", "2024-01-01T10:00Z", None], None),
        ("datetime", [date(2024, 1, 1), None, None], [datetime(2024, 1, 1), None, None]),
    ],
)
def test_what_can_be_read_without_loss_is(
    kind: str, given: list[Any], read: list[Any] | None
) -> None:
    frame = conform(pl.DataFrame({"x": given}), small(x=kind), source="new.csv")
    assert frame["x"].to_list() == (read or [datetime(2024, 1, 1), datetime(2024, 1, 1, 10), None])


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("number", ["1", "two", "three"], "'x' is a number column, but row 2 has 'two'"),
        ("number", [None, date(2024, 1, 1)], "row 2 has datetime.date"),
        ("boolean", ["true", "maybe"], "row 2 has 'maybe'"),
        ("boolean", [0, 1, 2], "row 3 has 2"),
        ("datetime", ["2024-01-01", "soon"], "row 2 has 'soon'"),
        ("datetime", [1.5], "row 1 has 1.5"),
        ("number", [1.0, float("inf")], r"infinite values in 'x' \(1\)"),
    ],
)
def test_the_first_value_of_another_type_is_named(
    kind: str, given: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        conform(pl.DataFrame({"x": given}), small(x=kind), source="new.csv")
    assert caught.value.message.startswith("new.csv: ")
    assert caught.value.help


def test_all_columns_at_fault_are_named_at_once() -> None:
    frame = pl.DataFrame({"a": ["x"], "b": ["y"]})
    with pytest.raises(DataError, match=r"'a' is a number column.*, 'b' is a number column"):
        conform(frame, small(a="number", b="number"), source="new.csv")


def test_missing_columns_are_named_at_once_with_the_near_ones() -> None:
    schema = infer_schema(shop(), target="buys")
    with pytest.raises(DataError) as caught:
        conform(shop().drop("age").rename({"city": "City"}), schema, source="new.csv")
    assert "new.csv lacks 2 of the 5 columns needed: 'age', 'city'" in caught.value.message
    assert "'city' be 'City'" in str(caught.value.help)


def test_ten_thousand_columns_take_seconds() -> None:
    values = np.random.default_rng(0).normal(size=(1_000, 10_000))
    frame = pl.DataFrame(values, schema=[f"c{i}" for i in range(10_000)])
    start = time.perf_counter()
    schema = infer_schema(frame, target="c0")
    assert conform(frame, schema, source="wide").equals(frame.drop("c0"))
    assert time.perf_counter() - start < 15  # about 1.5 alone on one core
    assert schema.summary() == "9999 numbers"


def test_a_real_table_is_typed_as_its_makers_describe_it(shared_data: Path) -> None:
    frame = read_table(shared_data / "bank_marketing" / "bank-full.csv.gz").frame
    schema = infer_schema(frame, target="y")
    assert schema.summary() == "7 numbers, 9 categories"
    assert conform(frame, schema, source="bank").null_count().sum_horizontal().item() == 0


def test_a_wish_keeps_a_constant_but_not_a_column_without_values() -> None:
    schema = infer_schema(shop(), target="buys", category=["country", "fax"])
    assert Column("country", "category", 0, 1) in schema.columns
    assert Dropped("fax", "all missing") in schema.dropped


def test_a_table_read_in_another_type_conforms_to_the_same_rows(tmp_path: Path) -> None:
    """A CSV of a few rows may be typed otherwise than the table that the schema is from."""
    codes = pl.DataFrame({"code": ["1", "2", "n/a?"] * 9, "n": [0.5, 1.0, 2.0] * 9, "y": [0] * 27})
    schema = infer_schema(codes, target="y", category=["code"])
    path = tmp_path / "new.csv"
    path.write_text("n,code\n1,2\n2,1\n", encoding="utf-8")
    new = read_table(path).frame
    assert new.dtypes == [pl.Int64, pl.Int64]
    assert conform(new, schema, source="new.csv").rows() == [("2", 1.0), ("1", 2.0)]

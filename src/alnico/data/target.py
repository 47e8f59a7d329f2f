"""The target: which task its values make, and the values as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from alnico.data.table import a_few
from alnico.errors import DataError, UnknownNameError
from alnico.registry import suggest
from alnico.types import Kind, Label, Task

if TYPE_CHECKING:
    import polars as pl

Asked: TypeAlias = Literal["auto", "binary", "multiclass", "regression"]

MIN_ROWS = 5
"""Rows that a class needs, so that 60/20/20 leaves one for each part."""

MAX_COUNTED = 20
"""At most so many distinct whole numbers are taken as classes."""

MAX_CLASSES = 1_000


def infer_task(
    values: pl.Series, *, task: Asked = "auto", positive: Label | None = None
) -> tuple[Task, str]:
    """Find what is to be predicted.

    Text, booleans or two values are classes; so are whole numbers with at most `MAX_COUNTED`
    values; any other number is a regression.

    Args:
        values: The target's column; its name is used in messages.
        task: What it is, if not to be found out.
        positive: The class of interest of a binary task, as a value or in its written form; by
            default the last in sorted order.

    Returns:
        The task, and a sentence that tells it.

    Raises:
        DataError: If the values cannot be learned, or are not of the asked task.
        UnknownNameError: If `positive` or `task` is not among the known.
    """
    name = values.name or "the target"
    _check_known(values, name)
    kind = _kind(values, name, task)
    if kind == "regression":
        if positive is not None:
            raise DataError(f"{name} is a number, it has no positive class", help="leave it out")
        numbers = values.to_numpy()
        return Task(kind), f"{name} is a number from {numbers.min():g} to {numbers.max():g}"
    counts = dict(values.alias("label").value_counts().sort("label").iter_rows())
    _check_classes(counts, name, is_number=values.dtype.is_numeric())
    if kind == "multiclass":
        if positive is not None:
            raise DataError(
                f"{name} has {len(counts)} classes; only one of two can be the positive one",
                help="leave the positive class out",
            )
        return Task(kind, tuple(counts)), _classes_told(name, values, task, len(counts))
    classes = _ordered(tuple(counts), positive, name)
    share = 100 * counts[classes[-1]] / len(values)
    return Task(kind, classes), f"{name} has 2 classes, {share:.1f} % {_written(classes[-1])}"


def encode_target(
    values: pl.Series, task: Task, *, source: str = "the table"
) -> NDArray[np.int64] | NDArray[np.float32]:
    """Give each row's class as its place in `task.classes`, or the number in the target's units.

    Args:
        values: The target's column; labels are recognised by their written form.
        task: What `infer_task` found.
        source: What messages call the table.

    Raises:
        DataError: If a value is missing, not a known class, or no finite number.
    """
    import polars as pl

    name = values.name or "the target"
    _check_known(values, name)
    if task.is_classification:
        place = {_written(label): i for i, label in enumerate(task.classes)}
        found = {value: place.get(_written(value), -1) for value in values.unique().to_list()}
        unknown = sorted(_written(value) for value, i in found.items() if i < 0)
        if unknown:
            raise DataError(
                f"{source}: {name} has values that were no class in training: "
                + a_few(repr(value) for value in unknown),
                help=f"the classes are {a_few(repr(key) for key in place)}",
            )
        return values.replace_strict(found, return_dtype=pl.Int64).to_numpy().astype(np.int64)
    if not values.dtype.is_numeric():
        raise DataError(_not_numbers(values, name), help="give numbers, as in training")
    return _as_numbers(values, name)


def _written(label: Label) -> str:
    """A label's written form: the same for 1 and 1.0, and for True and true."""
    if isinstance(label, bool):
        return str(label).lower()
    is_whole = isinstance(label, float) and label.is_integer()
    return str(int(label)) if is_whole else str(label)


def _check_known(values: pl.Series, name: str) -> None:
    n_missing = values.null_count() + (int(values.is_nan().sum()) if values.dtype.is_float() else 0)
    if n_missing:
        raise DataError(
            f"{name} is missing in {n_missing} of {len(values)} rows",
            help="leave these rows out; they can be predicted afterwards",
        )
    if values.dtype.is_temporal() or values.dtype.is_nested():
        raise DataError(
            f"{name} holds {values.dtype} values, which cannot be predicted",
            help="turn them into a number, such as days from a fixed date",
        )


def _as_numbers(values: pl.Series, name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        numbers = values.to_numpy().astype(np.float32)
    n_infinite = int((~np.isfinite(numbers)).sum())
    if n_infinite:
        raise DataError(
            f"{name} is infinite, or too large, in {n_infinite} of {len(numbers)} rows",
            help="leave these rows out, or predict its logarithm",
        )
    return numbers


def _not_numbers(values: pl.Series, name: str) -> str:
    import polars as pl

    words = values.cast(pl.String)
    bad = words.filter(words.cast(pl.Float64, strict=False).is_null())
    example = (bad if len(bad) else words)[0]
    return f"{name} is {values.dtype} and not a number, e.g. {example!r}"


def _kind(values: pl.Series, name: str, task: Asked) -> Kind:
    """The kind of task that the values make, or the asked one if they allow it."""
    asked = get_args(Asked)
    if task not in asked:
        raise UnknownNameError(f"there is no task {task!r}", help=suggest(task, asked))
    n_unique = values.n_unique()
    if n_unique < 2:
        raise DataError(
            f"{name} is constant: {len(values)} rows, all {_written(values[0])}",
            help="there is nothing to learn; choose another target, or more rows",
        )
    if values.dtype.is_numeric():
        _as_numbers(values, name)
    elif task == "regression":
        raise DataError(
            _not_numbers(values, name), help="--task auto takes it as classes; or make it numbers"
        )
    if task == "binary" and n_unique != 2:
        raise DataError(
            f"{name} has {n_unique} values, a binary task has 2", help="--task multiclass"
        )
    if task == "multiclass" and n_unique == 2:
        raise DataError(f"{name} has 2 values, multiclass needs more", help="--task binary")
    if task != "auto":
        return task
    if n_unique == 2:
        return "binary"
    is_counted = n_unique <= MAX_COUNTED and _is_whole(values)
    return "multiclass" if is_counted or not values.dtype.is_numeric() else "regression"


def _is_whole(values: pl.Series) -> bool:
    return values.dtype.is_integer() or (
        values.dtype.is_numeric() and bool((values % 1 == 0).all())
    )


def _check_classes(counts: Mapping[Label, int], name: str, *, is_number: bool) -> None:
    other = "; --task regression takes it as a number" if is_number else ""
    if len(counts) > MAX_CLASSES:
        raise DataError(
            f"{name} has {len(counts)} classes, more than {MAX_CLASSES}",
            help=f"is it an id or a text? Choose another target{other}",
        )
    few = [f"{_written(label)!r} ({n})" for label, n in counts.items() if n < MIN_ROWS]
    if few:
        raise DataError(
            f"{name} has classes with fewer than {MIN_ROWS} rows: {a_few(few)}",
            help="training, validation and test need examples of each: leave these rows out, or "
            f"join these classes with others{other}",
        )


def _ordered(classes: tuple[Label, ...], positive: Label | None, name: str) -> tuple[Label, ...]:
    """The two classes with the positive one last."""
    if positive is None:
        return classes
    written = [_written(label) for label in classes]
    if _written(positive) not in written:
        raise UnknownNameError(
            f"{name} has no class {positive!r}",
            help=suggest(_written(positive), written, all_of_them="its classes are"),
        )
    last = written.index(_written(positive))
    return (classes[1 - last], classes[last])


def _classes_told(name: str, values: pl.Series, task: Asked, n_classes: int) -> str:
    if task == "auto" and values.dtype.is_numeric():
        return f"{name}: {n_classes} whole numbers, taken as classes (--task regression overrules)"
    return f"{name} has {n_classes} classes"

"""The features of a table: their types, what is left out and why; and new rows brought to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from alnico import progress
from alnico.data.column_types import ID_OF_GROUP, judge, measure
from alnico.data.column_types import ColumnType as ColumnType
from alnico.data.delimited import as_boolean, as_datetime
from alnico.data.table import a_few, check_finite
from alnico.errors import DataError, UnknownNameError
from alnico.registry import closest, suggest

if TYPE_CHECKING:
    import polars as pl

_COUNTED: dict[ColumnType, tuple[str, str]] = {
    "number": ("number", "numbers"),
    "category": ("category", "categories"),
    "boolean": ("boolean", "booleans"),
    "datetime": ("date-time", "date-times"),
    "text": ("text", "texts"),
}


@dataclass(frozen=True)
class Column:
    """A feature.

    Args:
        name: As the table has it.
        type: How it is read; `number` includes whole numbers of few values.
        n_missing: Rows without a value.
        n_unique: Distinct values among the others.
    """

    name: str
    type: ColumnType
    n_missing: int
    n_unique: int


@dataclass(frozen=True)
class Dropped:
    """A column that is no feature, and the reason: a few words, then after a colon the details."""

    name: str
    why: str


@dataclass(frozen=True)
class Schema:
    """The features in the table's order, the columns left out, and the target's name."""

    columns: tuple[Column, ...]
    dropped: tuple[Dropped, ...]
    target: str

    def summary(self) -> str:
        """One line, e.g. `10 numbers, 1 text; dropped: customer (id)`."""
        counts = Counter(column.type for column in self.columns)
        types = [
            f"{counts[kind]} {words[counts[kind] > 1]}"
            for kind, words in _COUNTED.items()
            if counts[kind]
        ]
        dropped = [f"{d.name} ({d.why.split(':')[0]})" for d in self.dropped]
        return ", ".join(types) + (f"; dropped: {a_few(dropped, shown=8)}" if dropped else "")

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "dropped": [asdict(dropped) for dropped in self.dropped],
            "target": self.target,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Schema:
        """Rebuild what `to_json` gave."""
        return cls(
            columns=tuple(Column(**column) for column in record["columns"]),
            dropped=tuple(Dropped(**dropped) for dropped in record["dropped"]),
            target=record["target"],
        )


def infer_schema(
    frame: pl.DataFrame,
    *,
    target: str,
    drop: Sequence[str] = (),
    text: Sequence[str] = (),
    category: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    window_end: str | None = None,
) -> Schema:
    """Find the type of every column, and leave out those that cannot help: ids and constants.

    Args:
        frame: The rows, as `alnico.data.table.read_table` gives them.
        target: The column to predict.
        drop: Columns to leave out.
        text: Columns to read as text.
        category: Columns to read as categories, ids too.
        group: The column whose rows stay in one part of the split; no feature.
        time: The column that orders the rows in time; no feature.
        window_end: The column that tells when a row's outcome is known; no feature.

    Raises:
        UnknownNameError: If a named column is not there.
        DataError: If a column is named for two purposes, or no feature is left.
    """
    asked = dict.fromkeys(drop, "as asked") | {
        name: f"{role} of the split"
        for name, role in ((group, "group"), (time, "time"), (window_end, "end of window"))
        if name is not None
    }
    forced = _forced(text, category)
    _check_names(frame.columns, target, asked, forced)
    if frame.height < 2:
        raise DataError("the table has a single row", help="there is nothing to learn from it")
    columns, dropped = _features(frame.drop(target), asked, forced)
    schema = Schema(columns, dropped, target)
    if not columns:
        raise DataError(
            f"no column is left to predict {target!r}{schema.summary()}",
            help="add columns; --category COLUMN keeps an id",
        )
    if group is None:
        _warn_of_groups(dropped)
    return schema


def conform(frame: pl.DataFrame, schema: Schema, *, source: str) -> pl.DataFrame:
    """Bring rows to the types of a schema: what `alnico.data.encode` is fitted on and fed with.

    Numbers become Float64, categories and texts strings without blanks around them (2.0 is "2"),
    date-times microseconds. Other columns are left out; the target is not needed.

    Args:
        frame: The rows, as `alnico.data.table.read_table` gives them.
        schema: The columns wanted, in this order.
        source: What messages call the table.

    Raises:
        DataError: If columns are missing, or hold values of another type or infinite ones.
    """
    import polars.selectors as cs

    names = [column.name for column in schema.columns]
    _check_present(frame, names, source)
    rows = frame.select(names)
    typed = rows.with_columns(
        _read(dtype, column).alias(column.name)
        for dtype, column in zip(rows.dtypes, schema.columns, strict=True)
    )
    _check_read(rows, typed, schema.columns, source)
    check_finite(typed, names, source=source)
    return typed.with_columns(cs.float().fill_nan(None))


def _forced(text: Sequence[str], category: Sequence[str]) -> dict[str, ColumnType]:
    both = sorted(set(text) & set(category))
    if both:
        raise DataError(f"{both[0]!r} cannot be both text and category", help="choose one")
    forced: dict[str, ColumnType] = dict.fromkeys(text, "text")
    return forced | dict.fromkeys(category, "category")


def _check_names(
    known: Sequence[str], target: str, asked: Mapping[str, str], forced: Mapping[str, ColumnType]
) -> None:
    if target not in known:
        raise UnknownNameError(
            f"the table has no column {target!r} to predict",
            help=suggest(target, known, all_of_them="its columns are"),
        )
    unknown = sorted({*asked, *forced} - set(known))
    if unknown:
        raise UnknownNameError(
            f"the table has no column {a_few([repr(name) for name in unknown])}",
            help=suggest(unknown[0], known, all_of_them="its columns are"),
        )
    if target in asked or target in forced:
        raise DataError(f"{target!r} is the target and no feature", help="leave it out there")
    for name in forced:
        if name in asked:
            raise DataError(
                f"{name!r} is to be left out ({asked[name]}) and read as {forced[name]}",
                help="ask for one of both",
            )


def _features(
    frame: pl.DataFrame, asked: Mapping[str, str], forced: Mapping[str, ColumnType]
) -> tuple[tuple[Column, ...], tuple[Dropped, ...]]:
    columns: list[Column] = []
    dropped: list[Dropped] = []
    for facts in measure(frame):
        name = facts.values.name
        kind, why = judge(facts)
        if name in asked:
            kind, why = None, asked[name]
        elif facts.n_unique:
            kind = forced.get(name, kind)
        if kind is None:
            dropped.append(Dropped(name, why))
        else:
            columns.append(Column(name, kind, facts.n_missing, facts.n_unique))
    return tuple(columns), tuple(dropped)


def _warn_of_groups(dropped: Sequence[Dropped]) -> None:
    names = [repr(d.name) for d in dropped if d.why.startswith(ID_OF_GROUP)]
    if names:
        progress.warn(
            f"rows that belong together by {a_few(names)} may fall into different parts",
            help="--group NAME keeps them in one part; else the scores may be too good",
        )


def _check_present(frame: pl.DataFrame, names: Sequence[str], source: str) -> None:
    there = set(frame.columns)
    missing = [name for name in names if name not in there]
    if not missing:
        return
    spare = sorted(there - set(names))
    near = {name: closest(name, spare) for name in missing[:5]}
    hints = [f"{name!r} be {found!r}" for name, found in near.items() if found]
    raise DataError(
        f"{source} lacks {len(missing)} of the {len(names)} columns needed: "
        + a_few([repr(name) for name in missing]),
        help=f"could {', '.join(hints)}? Rename it" if hints else "add them, empty if not known",
    )


def _read(dtype: pl.DataType, column: Column) -> pl.Expr:
    """The values as the column's type; null where they cannot be read so."""
    import polars as pl

    values = pl.col(column.name)
    if column.type in ("category", "text"):
        return _as_words(values, dtype)
    if dtype == pl.String:
        values = values.str.strip_chars()
        if column.type == "boolean":
            return as_boolean(values.replace({"1": "true", "0": "false"}))
        is_number = column.type == "number"
        return values.cast(pl.Float64, strict=False) if is_number else as_datetime(values)
    if dtype.is_temporal() and column.type == "datetime":
        return values.cast(pl.Datetime("us"))
    if dtype.is_temporal() or column.type == "datetime":
        return pl.lit(None, pl.Datetime("us") if column.type == "datetime" else pl.Float64)
    if column.type == "boolean":
        return pl.when(values.cast(pl.Float64).is_in([0.0, 1.0])).then(values.cast(pl.Boolean))
    return values.cast(pl.Float64)


def _as_words(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Values as strings, the same whether a whole number was stored as an integer or a float."""
    import polars as pl

    if dtype.is_float():
        is_whole = (values % 1 == 0) & (values.abs() < 2**53)
        whole = values.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.when(is_whole).then(whole).otherwise(values.cast(pl.String))
    if dtype.is_temporal():
        iso = values.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M:%S")
        return iso.str.strip_suffix(" 00:00:00")
    words = values.cast(pl.String).str.strip_chars()
    return pl.when(words != "").then(words)


def _check_read(
    rows: pl.DataFrame, typed: pl.DataFrame, columns: Sequence[Column], source: str
) -> None:
    """Refuse values that are not what the schema says, naming the first of each column."""
    faults = []
    for column, before, after in zip(columns, rows, typed, strict=True):
        if column.type in ("category", "text") or after.null_count() == before.null_count():
            continue
        row = (before.is_not_null() & after.is_null()).arg_max() or 0
        faults.append(
            f"{column.name!r} is a {column.type} column, but row {row + 1} has {before[row]!r}"
        )
    if faults:
        raise DataError(
            f"{source}: {a_few(faults)}",
            help="correct these values; leave those empty that are not known",
        )

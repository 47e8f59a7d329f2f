"""A table from a file or a data frame, as a Polars frame of plain types; judges no column yet."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alnico import progress
from alnico.data.delimited import SEPARATORS, check_unique, read_delimited
from alnico.errors import DataError
from alnico.registry import need, suggest

if TYPE_CHECKING:
    import narwhals as nw
    import polars as pl
    from narwhals.typing import IntoFrame, IntoLazyFrame

_MIXED = 0.9  # from this share of numbers on, the words among them look like accidents


@dataclass(frozen=True)
class Table:
    """Rows, and where they came from.

    Args:
        frame: The rows: strings, numbers, booleans, dates and date-times (in UTC, without a zone);
            what is missing is null, never NaN.
        source: The path as it was given, or "DataFrame"; for messages.
        digest: SHA-256 of the file's bytes, or of a frame's names, types and values.
    """

    frame: pl.DataFrame
    source: str
    digest: str


def read_table(
    source: str | os.PathLike[str] | IntoFrame | IntoLazyFrame, *, name: str | None = None
) -> Table:
    """Read a CSV or Parquet file (.gz, .xz, .zip too), or take a Polars, pandas or other frame.

    Args:
        source: A path, or a data frame; the index of a pandas frame is ignored.
        name: What messages call the table; by default the path, or "DataFrame".

    Raises:
        DataError: If there is no such file, or it holds no table of named columns and rows.
    """
    if isinstance(source, str | os.PathLike):
        label = name or os.fspath(source)
        packed = _read_bytes(Path(source), label)
        frame = _parse(_unpack(packed, label), label, path=Path(source))
        digest = hashlib.sha256(packed).hexdigest()
    else:
        label = name or "DataFrame"
        frame, digest = _from_native(source, label), ""
    if not frame.width:
        raise DataError(f"{label} has no columns", help="give a table with named columns")
    if not frame.height:
        raise DataError(f"{label} has column names but no rows", help="was it cut off?")
    _check_separator(frame, label)
    frame = _plain(frame, label)
    _warn_mixed(frame, label)
    return Table(frame, label, digest or _digest(frame))


def check_finite(frame: pl.DataFrame, columns: Sequence[str], *, source: str = "the table") -> None:
    """Refuse infinite values.

    Args:
        frame: The rows.
        columns: The columns to look at; those that hold no numbers pass.
        source: What the message calls the table.

    Raises:
        DataError: If there is an infinite value; names each column that has some.
    """
    import polars as pl
    import polars.selectors as cs

    floats = frame.select(columns).select(cs.float())
    counts = floats.select(pl.all().is_infinite().sum()).row(0) if floats.width else ()
    found = [f"{name!r} ({n})" for name, n in zip(floats.columns, counts, strict=True) if n]
    if found:
        raise DataError(
            f"{source}: infinite values in {a_few(found)}",
            help="put a number in their place or leave them empty; or leave the column out",
        )


def a_few(items: Iterable[str], *, shown: int = 5) -> str:
    """The first few of some names for a message, and how many there are more."""
    listed = list(items)
    more = f", ... {len(listed) - shown} more" if len(listed) > shown else ""
    return ", ".join(listed[:shown]) + more


def _read_bytes(path: Path, label: str) -> bytes:
    if path.is_dir():
        raise DataError(f"{label} is a folder", help="name the CSV or Parquet file in it")
    if not path.parent.is_dir():
        raise DataError(f"there is no folder {os.fspath(path.parent)!r}", help="check the path")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        names = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))
        hint = suggest(path.name, names, all_of_them="in that folder are")
        raise DataError(f"there is no file {label!r}", help=hint) from None
    except OSError as error:
        raise DataError(
            f"{label} cannot be read: {error.strerror}", help="check its permissions"
        ) from error


def _unpack(data: bytes, label: str) -> bytes:
    """The content of a compressed file, recognised by its first bytes."""
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.decompress(data)
        if data.startswith(b"\xfd7zXZ\x00"):
            return lzma.decompress(data)
        if data.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = archive.namelist()
                if len(members) > 1:
                    raise DataError(
                        f"{label} holds {len(members)} files, or is a spreadsheet",
                        help="unpack it and name one file; save a spreadsheet as CSV",
                    )
                return archive.read(members[0])
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{label} is damaged and cannot be unpacked: {error}", help="get the file again"
        ) from error
    return data


def _parse(data: bytes, label: str, *, path: Path) -> pl.DataFrame:
    """The table in the unpacked content of a file."""
    need("polars")
    import polars as pl

    if not data.strip(b"\xef\xbb\xbf\r\n\t "):
        raise DataError(f"{label} is empty", help="give a CSV or Parquet file with rows")
    if not data.startswith(b"PAR1"):
        if {".parquet", ".pq"} & {suffix.lower() for suffix in path.suffixes}:
            raise DataError(f"{label} is not a Parquet file", help="get the file again")
        return read_delimited(data, source=label)
    try:
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{label} is a damaged Parquet file: {reason}", help="get the file again"
        ) from error


def _from_native(source: IntoFrame | IntoLazyFrame, label: str) -> pl.DataFrame:
    """Any data frame that narwhals knows, as Polars."""
    need("narwhals")
    import narwhals as nw

    names = getattr(source, "columns", ()) if nw.dependencies.is_pandas_dataframe(source) else ()
    check_unique([str(name) for name in names], source=label)
    try:
        native = nw.from_native(source)
    except TypeError as error:
        raise DataError(
            f"{type(source).__name__!r} objects are not tables",
            help="give a path, or a Polars or pandas DataFrame",
        ) from error
    native = native.collect() if isinstance(native, nw.LazyFrame) else native
    try:
        frame: pl.DataFrame = native.to_polars()
    except (TypeError, ValueError, NotImplementedError) as error:
        mixed = [name for name in native.columns if not _converts(native.get_column(name))]
        raise DataError(
            f"{label}: columns that hold values of several types, or no plain values: "
            + a_few(repr(name) for name in mixed),
            help="give each column one type, e.g. frame[column].astype(str)",
        ) from error
    return frame


def _converts(column: nw.Series[Any]) -> bool:
    try:
        column.to_polars()
    except (TypeError, ValueError, NotImplementedError):
        return False
    return True


def _check_separator(frame: pl.DataFrame, label: str) -> None:
    """Refuse a single column that is several, separated by what nobody was told of."""
    name, first = frame.columns[0], frame.to_series().head(20)
    for separator in (*SEPARATORS, ":", "^", "~", " "):
        n = name.count(separator)
        if frame.width == 1 and n and all(str(value).count(separator) == n for value in first):
            raise DataError(
                f"{label} has a single column, {name!r}, that looks like {n + 1}",
                help="separate the columns by a comma, semicolon, tab or |"
                + (f"; pandas: read_csv(..., sep={separator!r})" if label == "DataFrame" else ""),
            )


def _plain(frame: pl.DataFrame, label: str) -> pl.DataFrame:
    """Reduce the types to those that `Table` promises."""
    import polars as pl
    import polars.selectors as cs

    unusable = [
        f"{name!r} ({dtype})"
        for name, dtype in frame.schema.items()
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object)
    ]
    if unusable:
        raise DataError(
            f"{label}: columns of lists or objects: {a_few(unusable)}",
            help="spread their parts over columns of their own, or leave them out",
        )
    return frame.with_columns(
        cs.float().fill_nan(None),
        cs.decimal().cast(pl.Float64),
        cs.by_dtype(pl.Categorical, pl.Enum).cast(pl.String),
        cs.duration().dt.total_microseconds() / 1e6,
        cs.time().cast(pl.Int64) / 1e9,
        cs.datetime()
        .dt.convert_time_zone("UTC")
        .dt.replace_time_zone(None)
        .dt.cast_time_unit("us"),
    )


def _warn_mixed(frame: pl.DataFrame, label: str) -> None:
    """Tell of columns of numbers that a few words turn into text."""
    import polars as pl
    import polars.selectors as cs

    text = frame.select(cs.string())
    if not text.width:
        return
    number = pl.all().cast(pl.Float64, strict=False)
    n_numbers, n_values = text.select(number.count()).row(0), text.select(pl.all().count()).row(0)
    mixed = [
        name
        for name, n, of in zip(text.columns, n_numbers, n_values, strict=True)
        if _MIXED * of <= n < of
    ]
    for name in mixed[:5]:
        is_word = pl.col(name).cast(pl.Float64, strict=False).is_null()
        words = text.with_row_index("", 1).filter(is_word, pl.col(name).is_not_null())
        row, example = words.select("", name).row(0)
        progress.warn(
            f"{label}: {words.height} of {text.height} values of {name!r} are not numbers, e.g. "
            f"{example!r} in row {row}, so all of them are taken as words",
            help="correct these values or leave them empty, and the column is one of numbers",
        )
    if len(mixed) > 5:
        progress.warn(f"{label}: the same in {len(mixed) - 5} more columns, e.g. {mixed[5]!r}")


def _digest(frame: pl.DataFrame) -> str:
    content = hashlib.sha256(repr(dict(frame.schema)).encode())
    content.update(frame.write_csv(quote_style="non_numeric").encode())
    return content.hexdigest()

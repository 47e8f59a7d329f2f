"""Delimited text (CSV, TSV) -> a typed frame: its encoding, separator, quotes and types found."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, islice
from typing import TYPE_CHECKING

from alnico import progress
from alnico.errors import DataError
from alnico.registry import need

if TYPE_CHECKING:
    import polars as pl

SEPARATORS = ",;\t|"
"""What may stand between the values of a line, likeliest first."""

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "nan", "NaN", "NAN", "None")
"""How a missing value is written."""

_SNIFFED = 50  # records that are enough to find the separator
_ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$"


def read_delimited(data: bytes, *, source: str) -> pl.DataFrame:
    """Read a text table.

    A column becomes whole numbers, numbers, booleans or date-times if all of its values can be
    read so, over the whole file; else it stays text. Blanks around values and names are cut off.

    Args:
        data: The content of the file, not compressed.
        source: What messages call it.

    Raises:
        DataError: If it is not text, names a column twice, or has a line of another width.
    """
    import polars as pl

    need("pyarrow")
    text = _decode(data, source).lstrip("\r\n")
    separator = _separator(text)
    lines = _lines(text)
    reader = csv.reader(lines, delimiter=separator)
    try:
        header = next(reader)
    except (StopIteration, csv.Error):
        raise DataError(
            f"{source} does not begin with a line of column names", help="is it a CSV file?"
        ) from None
    names = [cell.strip() or f"unnamed_{i}" for i, cell in enumerate(header, 1)]
    check_unique(names, source=source)
    if not any(line.strip("\r\n") for line in lines):
        return pl.DataFrame(schema=names)
    return _typed(_cells(text, names, separator, skip=reader.line_num, source=source))


def check_unique(names: Sequence[str], *, source: str) -> None:
    """Refuse a table in which two columns have one name.

    Raises:
        DataError: Naming each such column and how often it is there.
    """
    twice = [f"{name!r} ({k} times)" for name, k in Counter(names).items() if k > 1]
    if twice:
        raise DataError(
            f"{source}: columns with the same name: {', '.join(twice[:5])}",
            help="rename them, so that each column has a name of its own",
        )


def as_boolean(column: pl.Expr) -> pl.Expr:
    """The words true and false in any case -> booleans; null where the text is anything else."""
    import polars as pl

    lower = column.str.to_lowercase()
    return pl.when(lower.is_in(["true", "false"])).then(lower == "true")


def as_datetime(column: pl.Expr) -> pl.Expr:
    """ISO 8601 text -> date-time in UTC without a zone; null where the text is anything else."""
    import polars as pl

    date, clock, seconds, offset = (column.str.extract(_ISO, group) for group in range(1, 5))
    full = pl.concat_str(
        date,
        pl.lit("T"),
        clock.fill_null("00:00"),
        seconds.fill_null(":00"),
        offset.str.replace("Z", "+00:00", literal=True).fill_null("+00:00"),
    )
    parsed = full.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", strict=False)
    return parsed.dt.replace_time_zone(None)


def _decode(data: bytes, source: str) -> str:
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in data and not utf16:
        raise DataError(f"{source} is not a text table", help="give a CSV or Parquet file")
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        progress.warn(
            f"{source} is not UTF-8 (byte {error.start}) and was read as latin-1",
            help="if letters look wrong, save the file as UTF-8",
        )
        return data.decode("latin-1")


def _lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _separator(text: str) -> str:
    """The separator that cuts most of the first records into as many values as the header."""

    def fit(separator: str) -> tuple[float, int]:
        try:
            records = islice(csv.reader(_lines(text), delimiter=separator), _SNIFFED)
            widths = [len(record) for record in records if record]
        except csv.Error:  # a value beyond the reader's limit: quotes that do not fit
            return 0.0, 0
        width = widths[0] if widths else 0
        return (widths.count(width) / len(widths) if width > 1 else 0.0), width

    return max(SEPARATORS, key=fit)


def _cells(text: str, names: list[str], separator: str, *, skip: int, source: str) -> pl.DataFrame:
    """All cells as text, blanks around them cut off; missing ones are null."""
    import polars as pl
    from pyarrow import ArrowInvalid

    data = text.encode()
    n_plain = _n_plain_lines(text, len(names)) if separator == "\t" else 0
    frame: pl.DataFrame | None = None
    try:
        frame = _read_arrow(data, names, separator, skip=skip, quote='"')
    except ArrowInvalid as error:
        if not n_plain:
            raise _misfit(text, separator, len(names), source) from error
    # tab files often have no quoting at all: a stray quote would swallow the lines up to the next
    if frame is None or frame.height < n_plain - 1:
        frame = _read_arrow(data, names, separator, skip=skip, quote=False)
    elif "\n" in (frame[-1, -1] or "") and not text.rstrip().endswith('"'):
        raise _misfit(text, separator, len(names), source)
    cell = pl.all().str.strip_chars()
    return frame.select(pl.when(cell.is_in(MISSING).not_()).then(cell))


def _read_arrow(
    data: bytes, names: list[str], separator: str, *, skip: int, quote: str | bool
) -> pl.DataFrame:
    import polars as pl
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    table = arrow_csv.read_csv(
        io.BytesIO(data),
        read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=skip, block_size=1 << 26),
        parse_options=arrow_csv.ParseOptions(
            delimiter=separator, quote_char=quote, newlines_in_values=bool(quote)
        ),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    return pl.DataFrame(table)


def _n_plain_lines(text: str, width: int) -> int:
    """How many lines there are, if cutting each at every tab gives `width` values; else 0."""
    lines = [line for line in _lines(text) if line.strip("\r\n")]
    return len(lines) if all(line.count("\t") == width - 1 for line in lines) else 0


def _misfit(text: str, separator: str, width: int, source: str) -> DataError:
    """The error that names the first line of another width than the header."""
    reader = csv.reader(_lines(text), delimiter=separator)
    line, following, found = 1, 1, "a double quote that is never closed"
    try:
        for record in reader:
            line, following = following, reader.line_num + 1
            if record and len(record) != width:
                values = "1 value" if len(record) == 1 else f"{len(record)} values"
                found = f"{values} where the header has {width}"
                break
    except csv.Error:
        line = following  # a value beyond the reader's limit is the quote that is never closed
    return DataError(
        f"{source}, line {line}: {found}",
        help=f"values are separated by {separator!r}; put a value that holds it, or a line break, "
        "in double quotes",
    )


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Give each column of text the first type that all of its values can be read as."""
    import polars as pl

    readings: tuple[Callable[[pl.Expr], pl.Expr], ...] = (
        lambda column: column.cast(pl.Int64, strict=False),
        lambda column: column.cast(pl.Float64, strict=False),
        as_boolean,
        as_datetime,
    )
    text = [column.name for column in frame if column.null_count() < frame.height]
    for read in readings:
        if not text:
            break
        columns = [pl.col(name) for name in text]
        lossless = frame.select(read(c).null_count() == c.null_count() for c in columns).row(0)
        fitting = set(compress(text, lossless))
        frame = frame.with_columns(read(pl.col(name)) for name in fitting)
        text = [name for name in text if name not in fitting]
    return frame

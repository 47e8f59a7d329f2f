"""A purchase log's columns, checked and in one canonical order; no cut-off and no feature here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico import progress
from alnico.errors import DataError
from alnico.progress import spaced
from alnico.registry import suggest

if TYPE_CHECKING:
    import polars as pl

_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y%m%d",
)


def read_log(
    log: pl.DataFrame, *, customer: str, timestamp: str, amount: str, item: str | None = None
) -> pl.DataFrame:
    """The columns `customer, time, amount` and perhaps `item` of a log, sorted by all of them.

    Args:
        log: One row per purchase, in any order.
        customer: The column that says who bought.
        timestamp: When: dates, date-times or text; a time zone is left off.
        amount: For how much.
        item: What.

    Raises:
        DataError: If a column is not there, or a value cannot be used.
    """
    import polars as pl

    roles = {"customer": customer, "timestamp": timestamp, "amount": amount}
    if item is not None:
        roles["item"] = item
    _check_columns(roles, log.columns)
    if log.is_empty():
        raise DataError("the log has no events", help="is it the right file?")
    columns = {
        "customer": _read_customers(log[customer]),
        "time": _read_times(log[timestamp]),
        "amount": _read_amounts(log[amount]),
    }
    if item is not None:
        columns["item"] = log[item].cast(pl.String)
    return pl.DataFrame(columns).drop_nulls("customer").sort(*columns)


def _check_columns(roles: dict[str, str], known: list[str]) -> None:
    unknown = {role: name for role, name in roles.items() if name not in known}
    if unknown:
        raise DataError(
            "the log has no column " + ", ".join(f"{n!r} ({r})" for r, n in unknown.items()),
            help="\n".join(
                suggest(name, known, all_of_them="its columns are") for name in unknown.values()
            ),
        )
    names = list(roles.values())
    for role, name in roles.items():
        if names.count(name) > 1:
            raise DataError(f"{name!r} cannot be the {role} and something else", help="name both")


def _read_customers(values: pl.Series) -> pl.Series:
    import polars as pl

    if values.dtype.is_float():
        values = values.fill_nan(None)
    elif not values.dtype.is_integer():
        values = values.cast(pl.String)  # the levels of a category sort in an order of their own
    missing = values.null_count()
    if missing == len(values):
        raise DataError(f"{values.name}: no event says who bought", help="name another column")
    if missing:
        progress.warn(
            f"{values.name}: {spaced(missing)} events without a customer are left out",
            help="guests cannot be followed over time; give them an id if you have one",
        )
    return values


def _read_times(values: pl.Series) -> pl.Series:
    """Wall-clock date-times in microseconds."""
    import polars as pl

    wanted = pl.Datetime("us")
    if isinstance(values.dtype, pl.Datetime):
        times = values.dt.replace_time_zone(None).cast(wanted)
    elif values.dtype == pl.Date:
        times = values.cast(wanted)
    elif values.dtype == pl.String or values.dtype.is_integer():
        text = pl.col(values.name).cast(pl.String).str.strip_chars().str.strip_suffix("Z")
        parsed = [text.str.strptime(wanted, form, strict=False) for form in _FORMATS]
        times = values.to_frame().select(pl.coalesce(parsed)).to_series()
    else:
        raise DataError(f"{values.name}: {values.dtype} is no time", help="name another column")
    bad = values.filter(times.is_null())
    if len(bad):
        example = bad.drop_nulls().head(1).to_list()
        raise DataError(
            f"{values.name}: {spaced(len(bad))} of {spaced(len(values))} timestamps "
            + (f"are no dates, such as {example[0]!r}" if example else "are missing"),
            help="write them as 2024-12-31, 20241231 or 2024-12-31 08:26:00, or drop these rows",
        )
    return times


def _read_amounts(values: pl.Series) -> pl.Series:
    import polars as pl

    if not values.dtype.is_numeric():
        raise DataError(
            f"{values.name}: amounts must be numbers, got {values.dtype}, such as {values[0]!r}",
            help="currency signs and decimal commas must go first",
        )
    amounts = values.cast(pl.Float64)
    bad = len(values) - int(amounts.is_finite().sum())
    if bad:
        raise DataError(
            f"{values.name}: {spaced(bad)} of {spaced(len(values))} amounts are no finite number",
            help="fill in what was paid, or drop these rows",
        )
    negative = int((amounts < 0).sum())
    if negative:
        progress.warn(
            f"{values.name}: {spaced(negative)} amounts are negative; they count as orders",
            help="drop returns and cancellations first if they are no purchases",
        )
    return amounts

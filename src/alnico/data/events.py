"""A purchase log -> one row per customer and cut-off: what was known before, and what came after.

A row's features see events strictly before its cut-off, its targets those of the window
[cut-off, cut-off + window). Times are the log's own wall clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from alnico import progress
from alnico.data.log import read_log
from alnico.errors import DataError, RecipeError
from alnico.progress import spaced
from alnico.registry import suggest

if TYPE_CHECKING:
    import polars as pl

Per: TypeAlias = Literal["day", "event"]
Cutoff: TypeAlias = date | datetime | str

_RECENT = (30, 60, 90)  # days before the cut-off, told as a share of all the time before it
_MONTH = 30  # days; counted back from the cut-off
_HALF_LIFE = 90  # days after which an order counts half as much as a new one
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def make_table(
    log: pl.DataFrame,
    *,
    customer: str,
    timestamp: str,
    amount: str,
    item: str | None = None,
    cutoffs: Sequence[Cutoff],
    window: timedelta | str = "90d",
    per: Per = "day",
) -> pl.DataFrame:
    """Turn a purchase log into one row per cut-off and customer seen before it.

    Args:
        log: One row per purchase, in any order.
        customer: The column that says who bought.
        timestamp: When: dates, date-times, or text such as `2024-12-31 08:26`.
        amount: For how much.
        item: What; adds features of variety and repetition.
        cutoffs: The moments to predict from; a date means its first instant.
        window: How far the targets look ahead: a time span, or text such as `"90d"`.
        per: What counts as one order: all purchases of a customer on one day, or each event.

    Returns:
        Rows in the order of cut-offs, then customers. Columns: `customer`, `cutoff`, `window_end`,
        the features, then the targets `buys` and `amount`. What a single order cannot tell (gaps
        between orders, their spread) is missing.

    Raises:
        DataError: If a column, a value, a cut-off or the window does not fit the log.
        RecipeError: If `per` is neither of the two.
    """
    import polars as pl

    if per not in ("day", "event"):
        raise RecipeError(
            f"per: one order is a day or an event, got {per!r}", help=suggest(per, ["day", "event"])
        )
    span, moments = _read_window(window), _read_cutoffs(cutoffs)
    events = read_log(log, customer=customer, timestamp=timestamp, amount=amount, item=item)
    _check_range(events["time"], moments, span)
    events = _number_orders(events, per=per)
    with progress.phase("events", f"{spaced(len(events))} events", total=len(moments)) as work:
        parts = []
        for moment in moments:
            parts.append(_rows_at(events, moment, span))
            work.advance()
        table = pl.concat(parts)
        people = spaced(events["customer"].n_unique())
        work.say(f"{spaced(len(events))} events of {people} customers, {len(moments)} cut-offs")
    if all(at.time() == (at + span).time() == time() for at in moments):
        table = table.with_columns(pl.col("cutoff", "window_end").cast(pl.Date))
    return table


def _read_window(window: timedelta | str) -> timedelta:
    if isinstance(window, str):
        found = re.fullmatch(r"\s*(\d{1,5})\s*([hdw])\s*", window)
        if found is None:
            raise DataError(
                f"window: cannot read {window!r}",
                help="a whole number and h, d or w: 48h, 90d, 12w (months differ in length)",
            )
        window = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if window <= timedelta(0):
        raise DataError(f"window: must be longer than nothing, got {window}", help="such as 90d")
    return window


def _read_cutoffs(cutoffs: Sequence[Cutoff]) -> list[datetime]:
    moments = sorted(_read_cutoff(cutoff) for cutoff in cutoffs)
    if not moments:
        raise DataError("cutoff: at least one is needed", help="such as 2024-10-01")
    twice = {str(moment) for moment in moments if moments.count(moment) > 1}
    if twice:
        raise DataError(f"cutoff: {', '.join(sorted(twice))} is there twice", help="give it once")
    return moments


def _read_cutoff(cutoff: Cutoff) -> datetime:
    try:
        moment = datetime.fromisoformat(cutoff) if isinstance(cutoff, str) else cutoff
    except ValueError:
        raise DataError(
            f"cutoff: {cutoff!r} is no date", help="write 2024-10-01 or 2024-10-01T12:00"
        ) from None
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    if moment.tzinfo is not None:
        raise DataError(
            f"cutoff: {cutoff} has a time zone", help="leave it off: the log's own clock counts"
        )
    return moment


def _check_range(times: pl.Series, moments: list[datetime], span: timedelta) -> None:
    """A cut-off needs events before it, and a log that goes on to the end of its window."""
    first, last = times.min(), times.max()
    assert isinstance(first, datetime) and isinstance(last, datetime)
    # the day of the last event counts as recorded to its end
    latest = datetime.combine(last, time()) + timedelta(days=1) - span
    late = ", ".join(str(moment) for moment in moments if moment > latest)
    if late:
        raise DataError(
            f"the window of {_days(span)} after {late} reaches past the log's end, {last}",
            help=f"the latest possible cut-off is {latest}"
            if latest > first
            else f"the log begins on {first}: take a shorter window",
        )
    early = ", ".join(str(moment) for moment in moments if moment <= first)
    if early:
        raise DataError(
            f"nobody was seen before {early}: the log begins on {first}",
            help="leave out cut-offs that lie before the first purchases",
        )


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):g} days"


def _number_orders(events: pl.DataFrame, *, per: Per) -> pl.DataFrame:
    """Add `placed`, the time of an event's order, and `order`, which grows with the rows."""
    import polars as pl

    if per == "event":
        return events.with_columns(placed="time", order=pl.int_range(pl.len()).set_sorted())
    events = events.with_columns(placed=pl.col("time").dt.truncate("1d"))
    opens = pl.any_horizontal(
        (pl.col(name) != pl.col(name).shift()).fill_null(True) for name in ("customer", "placed")
    )
    return events.with_columns(order=opens.cum_sum().set_sorted())


def _rows_at(events: pl.DataFrame, cutoff: datetime, span: timedelta) -> pl.DataFrame:
    import polars as pl

    end = cutoff + span
    before = events.filter(pl.col("time") < cutoff)
    rows = _order_features(before, cutoff)
    if "item" in events.columns:
        rows = _with_item_features(rows, before)
    during = (
        events.filter(pl.col("time").is_between(cutoff, end, closed="left"))
        .group_by("customer", maintain_order=True)
        .agg(pl.lit(True).alias("buys"), pl.col("amount").sum())
    )
    targets = [pl.col("buys").fill_null(False), pl.col("amount").fill_null(0.0)]
    return rows.join(during, on="customer", how="left", maintain_order="left").select(
        "customer",
        pl.lit(cutoff).alias("cutoff"),
        pl.lit(end).alias("window_end"),
        pl.exclude("customer", "buys", "amount"),
        *targets,
    )


def _order_features(before: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """One row per customer, from the orders before the cut-off."""
    import polars as pl

    ago, gap, money, placed = (pl.col(name) for name in ("ago", "gap", "money", "placed"))
    return (
        _orders_before(before, cutoff)
        .group_by("customer", maintain_order=True)
        .agg(
            ago.last().alias("recency_days"),
            pl.len().cast(pl.Int64).alias("frequency"),
            (ago // _MONTH).n_unique().cast(pl.Int64).alias("active_months"),
            money.sum().alias("money_total"),
            money.mean().alias("money_mean"),
            money.max().alias("money_max"),
            money.last().alias("money_last"),
            money.std().alias("money_std"),
            gap.mean().alias("gap_mean"),
            gap.std().alias("gap_std"),
            gap.last().alias("gap_last"),
            gap.max().alias("gap_max"),
            ago.first().alias("age_days"),
            placed.first().dt.strftime("%Y-%m").alias("cohort"),
            placed.last().dt.weekday().cast(pl.Int64).alias("last_weekday"),
            pl.col("^(orders|money)_.*$").sum(),
        )
        .with_columns(
            (pl.col("recency_days") / _positive("gap_mean")).alias("recency_to_gap"),
            *(pl.col(f"orders_{days}d_share") / _positive("frequency") for days in _RECENT),
            *(pl.col(f"money_{days}d_share") / _positive("money_total") for days in _RECENT),
        )
    )


def _orders_before(before: pl.DataFrame, cutoff: datetime) -> pl.DataFrame:
    """One row per order: how long ago, the gap to the one before, and what sums will need."""
    import polars as pl

    same = pl.col("customer") == pl.col("customer").shift()
    ago, fade = pl.col("ago"), 0.5 ** (pl.col("ago") / _HALF_LIFE)
    return (
        before.group_by("order", maintain_order=True)
        .agg(
            pl.col("customer").first().set_sorted(),
            pl.col("placed").first(),
            pl.col("amount").sum().alias("money"),
        )
        .with_columns(
            _in_days(cutoff - pl.col("placed")).alias("ago"),
            pl.when(same).then(_in_days(pl.col("placed").diff())).alias("gap"),
        )
        .with_columns(
            fade.alias("orders_fading"),
            (pl.col("money") * fade).alias("money_fading"),
            *((ago <= days).alias(f"orders_{days}d_share") for days in _RECENT),
            *((pl.col("money") * (ago <= days)).alias(f"money_{days}d_share") for days in _RECENT),
        )
    )


def _with_item_features(rows: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Add how many items a customer bought, how many an order, which share more than once."""
    import polars as pl

    bought = (
        before.drop_nulls("item")
        .group_by("customer", "item")
        .agg(pl.col("order").n_unique().alias("times"))
        .group_by("customer")
        .agg(
            pl.len().cast(pl.Int64).alias("items"),
            pl.col("times").sum().alias("items_per_order"),
            (pl.col("times") > 1).mean().alias("items_repeated_share"),
        )
    )
    return rows.join(bought, on="customer", how="left", maintain_order="left").with_columns(
        pl.col("items").fill_null(0),
        pl.col("items_per_order").fill_null(0) / pl.col("frequency"),
    )


def _in_days(span: pl.Expr) -> pl.Expr:
    return span.dt.total_microseconds() / 86_400e6


def _positive(name: str) -> pl.Expr:
    """A column as a divisor: missing where a share of it would mean nothing."""
    import polars as pl

    return pl.when(pl.col(name) > 0).then(name)

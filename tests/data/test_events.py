from __future__ import annotations

import itertools
import lzma
import statistics
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from alnico import progress
from alnico.data.events import Per, make_table
from alnico.errors import DataError, RecipeError

COLUMNS = {"customer": "who", "timestamp": "when", "amount": "paid"}
START = datetime(2023, 1, 1)
CUTOFFS = ["2023-06-01", "2023-08-15T12:00", "2023-09-20"]


def random_log(seed: int, *, n_events: int = 400, n_customers: int = 40) -> pl.DataFrame:
    """A year of purchases, with customers seen once, ties in time, and items left open."""
    draw = np.random.default_rng(seed)
    times = [START + timedelta(hours=6 * int(h)) for h in draw.integers(0, 4 * 365, n_events)]
    items = draw.integers(0, 5, n_events)
    return pl.DataFrame(
        {
            "who": [f"c{c:02}" for c in (n_customers * draw.random(n_events) ** 2).astype(int)],
            "when": times,
            "paid": np.round(draw.exponential(20, n_events), 2),
            "what": [f"i{i}" if i else None for i in items],
        }
    )


def table_of(log: pl.DataFrame, **options: Any) -> pl.DataFrame:
    return make_table(log, **{**COLUMNS, "item": "what", "cutoffs": CUTOFFS, **options})


def row_by_hand(
    events: list[tuple[datetime, float, str | None]], cutoff: datetime, span: timedelta, per: Per
) -> dict[str, Any] | None:
    """One customer's row, by a loop over their events in the order of time, then amount."""
    before = sorted((e for e in events if e[0] < cutoff), key=lambda e: e[:2])
    if not before:
        return None
    orders: list[list[Any]] = []  # when placed, money, items
    for when, paid, item in before:
        placed = datetime(when.year, when.month, when.day) if per == "day" else when
        if per == "event" or not orders or orders[-1][0] != placed:
            orders.append([placed, 0.0, set()])
        orders[-1][1] += paid
        orders[-1][2] |= {item} - {None}
    ago = [(cutoff - placed) / timedelta(days=1) for placed, _, _ in orders]
    money = [paid for _, paid, _ in orders]
    gaps = [a - b for a, b in itertools.pairwise(ago)]
    times: dict[str, int] = defaultdict(int)
    for _, _, items in orders:
        for item in items:
            times[item] += 1
    after = [paid for when, paid, _ in events if cutoff <= when < cutoff + span]
    recent = {days: [a <= days for a in ago] for days in (30, 60, 90)}
    gap_mean = statistics.fmean(gaps) if gaps else None
    return {
        "recency_days": ago[-1],
        "frequency": len(orders),
        "active_months": len({a // 30 for a in ago}),
        "money_total": sum(money),
        "money_mean": statistics.fmean(money),
        "money_max": max(money),
        "money_last": money[-1],
        "money_std": statistics.stdev(money) if len(money) > 1 else None,
        "gap_mean": gap_mean,
        "gap_std": statistics.stdev(gaps) if len(gaps) > 1 else None,
        "gap_last": gaps[-1] if gaps else None,
        "gap_max": max(gaps) if gaps else None,
        "age_days": ago[0],
        "cohort": f"{orders[0][0]:%Y-%m}",
        "last_weekday": orders[-1][0].isoweekday(),
        "orders_fading": sum(0.5 ** (a / 90) for a in ago),
        "money_fading": sum(m * 0.5 ** (a / 90) for a, m in zip(ago, money, strict=True)),
        **{f"orders_{d}d_share": sum(r) / len(orders) for d, r in recent.items()},
        **{
            f"money_{d}d_share": sum(m for m, r in zip(money, near, strict=True) if r) / sum(money)
            for d, near in recent.items()
        },
        "recency_to_gap": ago[-1] / gap_mean if gap_mean else None,
        "items": len(times),
        "items_per_order": sum(times.values()) / len(orders),
        "items_repeated_share": sum(n > 1 for n in times.values()) / len(times) if times else None,
        "buys": bool(after),
        "amount": sum(after),
    }


@pytest.mark.parametrize("per", ["day", "event"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_column_equals_a_loop_over_the_events(per: Per, seed: int) -> None:
    log = random_log(seed)
    table = table_of(log, per=per, window="30d")
    by_customer = defaultdict(list)
    for who, when, paid, what in log.iter_rows():
        by_customer[who].append((when, paid, what))
    wanted = []
    for cutoff in map(datetime.fromisoformat, CUTOFFS):
        for who in sorted(by_customer):
            row = row_by_hand(by_customer[who], cutoff, timedelta(days=30), per)
            if row is not None:
                head = {"customer": who, "cutoff": cutoff, "window_end": cutoff + timedelta(30)}
                wanted.append({**head, **row})
    rows = table.to_dicts()
    assert len(rows) == len(wanted) > 60
    assert table.columns == list(wanted[0])
    for row, hand in zip(rows, wanted, strict=True):
        assert row == {
            name: pytest.approx(value, rel=1e-12, abs=1e-9) if type(value) is float else value
            for name, value in hand.items()
        }


def test_nothing_from_a_cut_off_on_reaches_its_features() -> None:
    log, cutoff = random_log(3), datetime(2023, 8, 15, 12)  # amid the day's orders
    later = log.filter(pl.col("when") >= cutoff)
    changed = pl.concat(
        [
            later.gather_every(2).with_columns(pl.col("paid") * 1e6 + 1, what=pl.lit("new")),
            log.filter(pl.col("when") < cutoff),
            later.with_columns(who=pl.lit("nobody yet")),
            later.with_columns(pl.lit(cutoff).alias("when"), pl.lit("c00").alias("who")),
        ]
    )
    targets = ["buys", "amount"]
    for per in ("day", "event"):
        rows, other = (
            table_of(each, cutoffs=[cutoff], per=per, window="12w") for each in (log, changed)
        )
        assert rows.drop(targets).equals(other.drop(targets))  # to the last bit
        assert not rows.select(targets).equals(other.select(targets))


def test_the_rows_order_in_the_log_does_not_matter_to_the_last_bit() -> None:
    log = random_log(4, n_events=3_000)
    shuffled = log.sample(fraction=1, shuffle=True, seed=1)
    assert table_of(log).equals(table_of(shuffled))


def test_the_window_holds_its_first_instant_and_not_its_last() -> None:
    times = ["2024-01-01", "2024-02-01", "2024-02-11", "2024-03-01"]
    log = pl.DataFrame({"who": [1, 1, 1, 1], "when": times, "paid": [1, 2, 4, 8]})
    table = make_table(log, **COLUMNS, cutoffs=["2024-02-01"], window="10d")
    assert table.select("frequency", "buys", "amount").row(0) == (1, True, 2.0)
    assert make_table(log, **COLUMNS, cutoffs=["2024-02-02"], window="10d")["amount"][0] == 4.0


def test_moments_are_dates_where_they_are_whole_days() -> None:
    log = random_log(5)
    whole = table_of(log, cutoffs=[date(2023, 9, 1), datetime(2023, 6, 1)])
    assert whole["cutoff"].unique().to_list() == [date(2023, 6, 1), date(2023, 9, 1)]
    assert whole["window_end"].dtype == pl.Date
    assert table_of(log, window="36h")["window_end"].dtype == pl.Datetime("us")


def test_without_items_there_are_no_item_columns() -> None:
    assert not [name for name in table_of(random_log(6), item=None).columns if "item" in name]


def test_a_customer_of_free_orders_has_no_share_of_money() -> None:
    log = pl.DataFrame({"who": [1, 2], "when": ["2024-01-01", "2024-03-01"], "paid": [0, 5]})
    row = make_table(log, **COLUMNS, cutoffs=["2024-01-20"], window="4w").row(0, named=True)
    assert row["money_total"] == 0.0 and row["money_30d_share"] is None
    assert row["orders_30d_share"] == 1.0 and row["buys"] is False and row["amount"] == 0.0


@pytest.mark.parametrize("window", ["2160h", "90d", " 90 d", timedelta(days=90)])
def test_a_window_can_be_written_in_hours_days_and_weeks(window: str | timedelta) -> None:
    table = table_of(random_log(7), cutoffs=["2023-06-01"], window=window)
    assert table["window_end"].unique().to_list() == [date(2023, 8, 30)]


@pytest.mark.parametrize("window", ["3mo", "90", "d", "-5d", "1.5d", ""])
def test_a_window_in_other_words_is_refused(window: str) -> None:
    with pytest.raises(DataError, match=r"window: cannot read .*\n  help: .*48h, 90d, 12w"):
        table_of(random_log(7), window=window)


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="longer than nothing"):
        table_of(random_log(7), window="0d")


def test_a_window_past_the_logs_end_names_the_latest_cut_off() -> None:
    log = pl.DataFrame({"who": [1, 1], "when": ["2024-01-01", "2024-06-30 18:00"], "paid": [1, 1]})
    assert make_table(log, **COLUMNS, cutoffs=["2024-06-01"], window="30d")["buys"].all()
    with pytest.raises(DataError) as caught:
        make_table(log, **COLUMNS, cutoffs=["2024-05-01", "2024-06-02"], window="30d")
    assert "30 days after 2024-06-02 00:00:00 reaches past the log's end" in caught.value.message
    assert "2024-06-30 18:00:00" in caught.value.message
    assert caught.value.help == "the latest possible cut-off is 2024-06-01 00:00:00"
    with pytest.raises(DataError, match="take a shorter window"):
        make_table(log, **COLUMNS, cutoffs=["2024-05-01"], window="52w")


@pytest.mark.parametrize("cutoff", ["2022-12-01", "2023-01-01"])
def test_a_cut_off_before_anybody_was_seen_is_refused(cutoff: str) -> None:
    log = random_log(8).vstack(random_log(8).head(1).with_columns(when=START))
    with pytest.raises(DataError, match=r"nobody was seen before .*the log begins on 2023-01-01"):
        table_of(log, cutoffs=[cutoff, "2023-06-01"])


@pytest.mark.parametrize(
    ("cutoffs", "message"),
    [
        ([], "at least one"),
        (["2023-06-01", datetime(2023, 6, 1)], "2023-06-01 00:00:00 is there twice"),
        (["June"], "'June' is no date"),
        (["2023-06-01T00:00+02:00"], "has a time zone"),
    ],
)
def test_cut_offs_that_cannot_be_used_are_refused(cutoffs: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        table_of(random_log(9), cutoffs=cutoffs)


def test_an_unknown_kind_of_order_points_to_the_right_one() -> None:
    with pytest.raises(RecipeError, match=r"got 'dya'\n  help: did you mean 'day'\?"):
        table_of(random_log(9), per="dya")


def test_the_log_is_left_as_it_was_and_the_work_is_told() -> None:
    log, told = random_log(10), []
    copy = log.clone()
    with progress.listen(lambda event: told.append((event.what, event.phase.text))):
        table_of(log)
    assert log.equals(copy)
    assert told[-1] == ("finished", f"400 events of {log['who'].n_unique()} customers, 3 cut-offs")


def test_real_shop_lines_agree_with_the_counts_published_for_them(shared_data: Any) -> None:
    path = shared_data / "online_retail" / "online_retail.csv.xz"
    log = pl.read_csv(lzma.decompress(path.read_bytes()), infer_schema_length=None)
    log = log.with_columns(paid=pl.col("Quantity") * pl.col("UnitPrice")).filter(
        pl.col("CustomerID").is_not_null()
        & ~pl.col("InvoiceNo").cast(pl.String).str.starts_with("C")
        & (pl.col("Quantity") > 0)
        & (pl.col("UnitPrice") > 0)
    )
    table = make_table(
        log,
        customer="CustomerID",
        timestamp="InvoiceDate",
        amount="paid",
        item="StockCode",
        cutoffs=[date(2011, month, 1) for month in range(3, 12)],
        window="30d",
    )
    assert table.height == 25_983
    assert table["buys"].mean() == pytest.approx(0.282, abs=0.0005)
    assert table.filter(pl.col("cutoff") <= date(2011, 8, 1)).height == 15_076

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from alnico import progress
from alnico.data.log import read_log
from alnico.errors import DataError
from alnico.progress import spaced

COLUMNS = {"customer": "who", "timestamp": "when", "amount": "paid"}


def log_of(times: object, **columns: object) -> pl.DataFrame:
    when = pl.Series("when", times)
    whole = {"who": ["a"] * len(when), "when": when, "paid": [1.0] * len(when)}
    return pl.DataFrame({**whole, **columns})


def read(log: pl.DataFrame, **columns: str) -> pl.DataFrame:
    return read_log(log, **{**COLUMNS, **columns})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-12-31", datetime(2024, 12, 31)),
        ("20241231", datetime(2024, 12, 31)),
        (20241231, datetime(2024, 12, 31)),
        (" 2024-12-31 08:26 ", datetime(2024, 12, 31, 8, 26)),
        ("2024-12-31T08:26", datetime(2024, 12, 31, 8, 26)),
        ("2024-12-31 08:26:05", datetime(2024, 12, 31, 8, 26, 5)),
        ("2024-12-31T08:26:05.5Z", datetime(2024, 12, 31, 8, 26, 5, 500_000)),
        (date(2024, 12, 31), datetime(2024, 12, 31)),
        (datetime(2024, 12, 31, 8, 26), datetime(2024, 12, 31, 8, 26)),
    ],
)
def test_dates_are_read_in_the_usual_ways(written: object, meant: datetime) -> None:
    assert read(log_of([written, written]))["time"].to_list() == [meant, meant]


def test_forms_may_be_mixed_in_one_column() -> None:
    times = read(log_of(["2024-12-31 08:26", "2024-12-30"]))["time"]
    assert times.to_list() == [datetime(2024, 12, 30), datetime(2024, 12, 31, 8, 26)]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_time_zone_is_left_off_and_the_wall_clock_kept(unit: str) -> None:
    wall = datetime(2024, 7, 1, 23, 30, tzinfo=ZoneInfo("America/New_York"))
    times = pl.Series([wall], dtype=pl.Datetime(unit, "America/New_York"))  # type: ignore[arg-type]
    read_times = read(log_of(times))["time"]
    assert read_times.dtype == pl.Datetime("us")
    assert read_times.to_list() == [datetime(2024, 7, 1, 23, 30)]


def test_rows_come_in_one_order_however_they_were_written() -> None:
    log = pl.DataFrame(
        {
            "who": [2, 1, 1, 1],
            "when": ["2024-01-01", "2024-01-02", "2024-01-01", "2024-01-01"],
            "paid": [5, 6, 8, 7],
            "what": ["x", "y", "z", None],
        }
    )
    for shuffled in (log, log.reverse(), log.sample(fraction=1, shuffle=True, seed=3)):
        events = read(shuffled, item="what")
        assert events.columns == ["customer", "time", "amount", "item"]
        assert events["customer"].to_list() == [1, 1, 1, 2]
        assert events["amount"].to_list() == [7.0, 8.0, 6.0, 5.0]


def test_all_unknown_columns_are_named_at_once_with_the_likely_ones() -> None:
    with pytest.raises(DataError) as caught:
        read(log_of(["2024-01-01"]), customer="whom", amount="piad")
    assert "'whom' (customer), 'piad' (amount)" in caught.value.message
    assert caught.value.help == "did you mean 'who'?\ndid you mean 'paid'?"


def test_one_column_cannot_play_two_parts() -> None:
    with pytest.raises(DataError, match="'when' cannot be the timestamp and something else"):
        read(log_of(["2024-01-01"]), amount="when")


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(DataError, match="no events"):
        read(log_of(["2024-01-01"]).clear())


def test_timestamps_that_do_not_parse_are_counted_and_one_is_shown() -> None:
    with pytest.raises(DataError, match="when: 2 of 3 timestamps are no dates, such as '1/2/24'"):
        read(log_of(["1/2/24", "2024-01-01", "tomorrow"]))
    with pytest.raises(DataError, match="such as 1704067200"):
        read(log_of([1704067200]))  # seconds since 1970 are not guessed


def test_missing_timestamps_and_other_types_are_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 timestamps are missing"):
        read(log_of([None, date(2024, 1, 1)]))
    with pytest.raises(DataError, match="when: Float64 is no time"):
        read(log_of([1.5]))


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), float("-inf")])
def test_amounts_that_are_no_finite_number_are_refused(bad: float | None) -> None:
    with pytest.raises(DataError, match="paid: 1 of 2 amounts are no finite number"):
        read(log_of(["2024-01-01"] * 2, paid=[1.0, bad]))


def test_amounts_as_text_are_refused_with_an_example() -> None:
    with pytest.raises(DataError, match=r"must be numbers, got String, such as '\$5'"):
        read(log_of(["2024-01-01"], paid=["$5"]))


def warnings_of(log: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    heard: list[progress.Event] = []
    with progress.listen(heard.append):
        events = read(log)
    return events, [event.phase.text for event in heard if event.what == "warning"]


def test_events_without_a_customer_are_left_out_and_said() -> None:
    log = log_of(["2024-01-01"] * 3, who=[17850.0, float("nan"), None])
    events, said = warnings_of(log)
    assert events["customer"].to_list() == [17850.0]
    assert said == ["who: 2 events without a customer are left out"]
    with pytest.raises(DataError, match="no event says who bought"):
        read(log_of(["2024-01-01"], who=pl.Series([None], dtype=pl.String)))


def test_negative_amounts_are_said() -> None:
    events, said = warnings_of(log_of(["2024-01-01"] * 2, paid=[-3, 4]))
    assert events["amount"].to_list() == [-3.0, 4.0]
    assert said == ["paid: 1 amounts are negative; they count as orders"]


def test_a_category_sorts_as_its_text_does() -> None:
    who = pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"]))
    assert read(log_of(["2024-01-01"] * 2, who=who))["customer"].to_list() == ["a", "b"]


def test_counts_are_spaced_by_thousands() -> None:
    assert [spaced(n) for n in (7, 999, 41_188, 1_000_000)] == ["7", "999", "41 188", "1 000 000"]

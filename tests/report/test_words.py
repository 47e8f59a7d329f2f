from __future__ import annotations

import pytest

from alnico.fitting.kinds import kinds
from alnico.report import words


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.12345, "0.1235"), (-0.5, "\u22120.5000"), (12345.678, "12346"), (None, "\u2013")],
)
def test_scores_have_four_decimals_or_five_digits(value: float | None, said: str) -> None:
    assert words.score(value) == said


def test_gains_have_a_sign_and_intervals_two_ends() -> None:
    assert words.score(0.01, signed=True) == "+0.0100"
    made = {"gain_low": -0.01, "gain_high": 0.02}
    assert words.interval(made) == "\u22120.0100 to +0.0200"
    assert words.interval({"gain_low": 0.0, "gain_high": 0.0}) == ""
    assert words.interval({"gain_low": None, "gain_high": None}) == ""


def test_counts_and_times_are_short() -> None:
    assert words.count(1234567) == "1\u202f234\u202f567"
    assert (words.counted(1, "row"), words.counted(2000, "row")) == ("1 row", "2\u202f000 rows")
    assert [words.short_count(n) for n in (7, 1234, 7_520_000, 2 * 10**9, None)] == [
        "7",
        "1.23 k",
        "7.52 M",
        "2 G",
        "\u2013",
    ]
    assert [words.seconds(s) for s in (1.24, 100, None)] == ["1.2 s", "1.7 min", "\u2013"]
    assert [words.microseconds(m) for m in (0.5234, 255.03, None)] == [
        "0.523 \u00b5s",
        "255 \u00b5s",
        "\u2013",
    ]


def test_every_kind_of_the_leaderboard_is_explained() -> None:
    assert set(kinds) <= set(words.KINDS)


def test_a_path_is_called_by_its_last_part() -> None:
    paths = ("a/b.csv", "a/b/", "C:\\data\\b.csv", "b", "/")
    assert [words.last_part(path) for path in paths] == ["b.csv", "b", "b.csv", "b", "/"]

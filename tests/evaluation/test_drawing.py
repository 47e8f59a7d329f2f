from __future__ import annotations

from typing import Any

from rich.cells import cell_len

from alnico.evaluation.drawing import (
    WIDTH,
    Column,
    draw_leaderboard,
    draw_table,
    fill,
    three_digits,
    title,
)


def record(kind: str, row: int | None, **values: Any) -> dict[str, Any]:
    made = {
        "row": row,
        "rank": row,
        "kind": kind,
        "parts": "mlp-0.1",
        "parameters": 33_000,
        "valid": 0.3,
        "test": 0.31,
        "gain": 0.0,
        "gain_low": 0.0,
        "gain_high": 0.0,
        "fit_seconds": 2.0,
        "microseconds_a_row": 1.5,
        "skipped": None,
    }
    return made | values


def test_columns_are_aligned_under_one_rule() -> None:
    drawn = draw_table([Column("name"), Column("n", "right")], [["a", "10"], ["bcd", "7"]])
    assert drawn.splitlines() == ["name    n", "─────────", "a      10", "bcd     7"]


def test_only_words_are_cut_and_the_width_holds() -> None:
    drawn = draw_table([Column("words"), Column("number", "right")], [["w" * 200, "1234567"]])
    lines = drawn.splitlines()
    assert all(cell_len(line) <= WIDTH for line in lines)
    assert "..." in lines[2] and lines[2].endswith("1234567")


def test_wide_letters_count_twice() -> None:
    drawn = draw_table([Column("shop"), Column("n", "right")], [["靴店", "1"], ["ab", "22"]])
    assert len({cell_len(line) for line in drawn.splitlines()}) == 1


def test_a_terminal_without_lines_gets_hyphens() -> None:
    assert "-----" in draw_table([Column("abcde")], [["x"]], encoding="ascii")


def test_the_leaderboard_shows_the_best_of_each_kind_and_architecture() -> None:
    rows = [
        record("concat", 1, gain=0.0123, gain_low=0.001, gain_high=0.02),
        record("single", 2),
        record("single", 3, parts="mlp-0.0"),
        record("single", 4, parts="dcn-1.0"),
        record("average", 5, parts="all 4 members"),
        record("average", 6, parts="mlp x2"),
        record("ema", None, skipped="no time was left"),
    ]
    drawn = draw_leaderboard(rows, metric="log_loss")
    assert [line.split()[0] for line in drawn.splitlines()[2:7]] == ["1", "2", "4", "5", "6"]
    assert "+0.0123  +0.0010 +0.0200" in drawn
    assert "log_loss; gain: on the test part, over the best single network (# 2)" in drawn
    assert "5 of 6 rows, the best of each kind" in drawn
    assert "skipped: ema (no time was left)" in drawn
    assert "single mlp" in drawn and "single dcn" in drawn and "average, all" in drawn


def test_every_row_is_drawn_when_asked_for() -> None:
    rows = [record("single", n, parts=f"mlp-0.{n}") for n in range(1, 9)]
    assert len(draw_leaderboard(rows, metric="rmse", everything=True).splitlines()) == 2 + 8 + 1


def test_a_shut_test_part_is_said_and_no_figure_stands_for_it() -> None:
    row = record("single", 1, test=None, gain=None, gain_low=None, gain_high=None)
    drawn = draw_leaderboard([row], metric="log_loss")
    assert "the test part is still shut" in drawn
    assert drawn.splitlines()[2].split()[4:6] == ["0.3000", "-"] or " - " in drawn


def test_large_values_and_many_parameters_stay_within_the_width() -> None:
    row = record(
        "soup_greedy",
        123,
        parameters=1_234_567_890,
        valid=123456.789,
        test=98765.4321,
        gain=-12345.678,
        gain_low=-23456.789,
        gain_high=-1234.567,
        fit_seconds=12345.6,
        microseconds_a_row=123456.0,
    )
    drawn = draw_leaderboard([row], metric="rmse")
    assert max(map(cell_len, drawn.splitlines())) <= WIDTH


def test_a_paragraph_is_broken_between_words() -> None:
    lines = fill("word " * 60).splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= WIDTH


def test_a_title_names_the_architecture_of_a_single_network() -> None:
    assert title({"kind": "single", "parts": "text_gru-5.1"}) == "single text_gru"
    assert title({"kind": "average", "parts": "all 9 members"}) == "average, all"
    assert title({"kind": "concat", "parts": "mlp x2"}) == "concat"


def test_three_digits_never_make_a_one_of_what_is_less() -> None:
    values = (0, 1, -1, 0.5, 0.99951, -0.99951, 0.99999999, 12345.6, 1.5e-7, 45.0, 999.0, None)
    assert [three_digits(value) for value in values] == [
        *("0", "1", "-1", "0.500", "0.999510", "-0.999510", "0.999999"),
        *("1.23e+04", "1.50e-07", "45.0", "999", "-"),
    ]

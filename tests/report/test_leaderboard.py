from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alnico.report.leaderboard import leaderboard


def test_every_figure_of_a_row_is_in_the_table(make_facts: Callable, read_page: type) -> None:
    facts = make_facts()
    found = read_page(leaderboard(facts))
    for row in facts.rows:
        assert f"{row['test']:.4f}" in found.text and row["parts"] in found.text
    assert "+0.0200+0.0160 to +0.0250" in found.text and "the reference" in found.text
    assert "over the best single network, row 2, with its 95 % interval" in found.text
    assert "Skipped: papa (no time was left)." in found.text
    assert found.text.count("predicts") == 2  # the mark, and the caption of the chart
    assert "All 5 rows" not in found.text


def test_all_rows_are_there_on_request(make_facts: Callable, read_page: type) -> None:
    def more(record: dict[str, Any]) -> None:
        record["rows"].insert(5, {**record["rows"][3], "row": 6})

    found = read_page(leaderboard(make_facts(change=more)))
    assert "All 6 rows" in found.text and len(found.named("table")) == 2
    assert len(found.named("tr")) == (1 + 5) + (1 + 6)


def test_the_forest_plot_has_gains_and_their_ends(make_facts: Callable, read_page: type) -> None:
    facts = make_facts()
    chart = read_page(leaderboard(facts)).charts["gains"]
    (points,) = chart["data"]
    assert points["x"] == pytest.approx([row["gain"] for row in facts.rows])
    assert points["error_x"]["array"] == pytest.approx([0.005, 0, 0.005, 0.005, 0.005])
    assert points["error_x"]["arrayminus"] == pytest.approx([0.004, 0, 0.004, 0.004, 0.004])
    assert points["marker"]["color"][2] == "--accent" != points["marker"]["color"][0]
    assert chart["layout"]["yaxis"]["categoryarray"] == points["y"][::-1]


def test_a_row_that_is_far_behind_stands_at_the_edge(make_facts: Callable, read_page: type) -> None:
    def spoil(record: dict[str, Any]) -> None:
        record["rows"][4].update(gain=-7.0, gain_low=-8.0, gain_high=-6.0)

    found = read_page(leaderboard(make_facts(change=spoil)))
    points, beyond = found.charts["gains"]["data"]
    low, high = found.charts["gains"]["layout"]["xaxis"]["range"]
    assert -0.1 < low < 0 < high < 0.1 and len(points["x"]) == 4
    assert beyond["text"] == [" \u22127.0000"] and low < beyond["x"][0] < 0
    assert "far behind stand at the left edge" in found.text


def test_a_shut_test_part_has_no_gains(make_facts: Callable, read_page: type) -> None:
    found = read_page(leaderboard(make_facts(is_open=False)))
    assert "so there are no gains" in found.text and found.charts == {}
    assert "None" not in found.text


def test_without_a_single_network_there_is_nothing_to_gain_over(
    make_facts: Callable, read_page: type
) -> None:
    def spoil(record: dict[str, Any]) -> None:
        record["rows"] = [row for row in record["rows"] if row["kind"] != "single"]
        for row in record["rows"]:
            row.update(gain=None, gain_low=None, gain_high=None)

    found = read_page(leaderboard(make_facts(change=spoil)))
    assert "gains" not in found.charts and "over the best single" not in found.text


def test_if_all_rows_are_level_the_plot_still_has_a_width(
    make_facts: Callable, read_page: type
) -> None:
    def level(record: dict[str, Any]) -> None:
        for row in record["rows"][:5]:
            row.update(gain=0.0, gain_low=-0.001, gain_high=0.001)

    chart = read_page(leaderboard(make_facts(change=level))).charts["gains"]
    low, high = chart["layout"]["xaxis"]["range"]
    assert low < -0.001 and high > 0.001 and len(chart["data"]) == 1


def test_reasons_for_skipping_are_said_once_for_all_their_kinds(
    make_facts: Callable, read_page: type
) -> None:
    def more(record: dict[str, Any]) -> None:
        skipped = record["rows"][-1]
        record["rows"] += [{**skipped, "kind": "pruned"}, {**skipped, "skipped": "one member"}]

    text = read_page(leaderboard(make_facts(change=more))).text
    assert "Skipped: papa, pruned (no time was left); papa (one member)." in text
    assert "Skipped" not in leaderboard(make_facts(change=lambda r: r["rows"].pop()))


def test_on_a_narrow_screen_the_table_keeps_what_matters(
    make_facts: Callable, read_page: type
) -> None:
    heads = read_page(leaderboard(make_facts())).named("th")[:9]
    kept = [i for i, head in enumerate(heads) if "wide" not in str(head.get("class"))]
    assert kept == [0, 1, 4, 5]  # number, kind, test, gain


def test_the_kinds_that_occur_are_explained(make_facts: Callable, read_page: type) -> None:
    def rename(record: dict[str, Any]) -> None:
        record["rows"][0]["kind"] = "of my own"

    text = read_page(leaderboard(make_facts(change=rename))).text
    assert "the mean of the members' outputs" in text and "a linear model on the same" in text
    assert "under one new head" not in text  # no concat is left

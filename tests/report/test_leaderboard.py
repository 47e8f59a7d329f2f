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

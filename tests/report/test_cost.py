from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alnico.report.cost import cost


def test_the_front_holds_what_is_not_beaten(make_facts: Callable, read_page: type) -> None:
    def more(record: dict[str, Any]) -> None:
        for row, valid in zip(record["rows"], (0.1, 0.2, 0.15, 0.3, 0.4), strict=False):
            row["valid"] = valid  # parameters: 1e5, 1e4, 1e3, 1e2, 1e1

    found = read_page(cost(make_facts(change=more)))
    front, others, predicts = found.charts["cost-parameters"]["data"]
    assert front["x"] == [10, 100, 1000, 100_000] and front["y"] == [0.4, 0.3, 0.15, 0.1]
    assert (others["x"], others["y"]) == ([10_000], [0.2])
    assert (predicts["x"], predicts["y"]) == ([1000], [0.15])
    assert front["text"][-1] == "concat" and "10\u202f000 parameters" in others["hovertext"][0]


def test_up_is_better_for_every_metric(make_facts: Callable, read_page: type) -> None:
    for kind, is_turned in (("binary", True), ("multiclass", False)):
        found = read_page(cost(make_facts(kind)))
        for chart in found.charts.values():
            assert chart["layout"]["xaxis"]["type"] == "log"
            bottom, top = chart["layout"]["yaxis"]["range"]
            assert (bottom > top) == is_turned


def test_rows_that_learned_nothing_do_not_press_the_others_together(
    make_facts: Callable, read_page: type
) -> None:
    def spoil(record: dict[str, Any]) -> None:
        for row, valid in zip(record["rows"], (0.1, 0.11, 0.12, 9.0, 8.0), strict=False):
            row["valid"] = valid

    found = read_page(cost(make_facts(change=spoil)))
    bottom, top = found.charts["cost-parameters"]["layout"]["yaxis"]["range"]
    assert 0.12 < bottom < 0.2 and top < 0.1
    assert "2 rows that are far worse lie below." in found.text


def test_scores_are_those_of_validation_and_refits_have_none(
    make_facts: Callable, read_page: type
) -> None:
    facts = make_facts(change=lambda record: record["rows"][3].update(valid=None))
    charts = read_page(cost(facts)).charts
    drawn = [y for trace in charts["cost-microseconds"]["data"] for y in trace["y"]]
    expected = {row["valid"] for row in facts.rows if row["valid"] is not None}
    assert sorted(set(drawn)) == pytest.approx(sorted(expected), rel=1e-5)


def test_without_times_there_is_a_sentence(make_facts: Callable, read_page: type) -> None:
    found = read_page(cost(make_facts(is_open=False)))
    assert list(found.charts) == ["cost-parameters"]
    assert "Times were not measured" in found.text

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alnico.report.leaning import leaning


def test_members_are_drawn_with_the_largest_share_first(
    make_facts: Callable, read_page: type
) -> None:
    def turn(record: dict[str, Any]) -> None:
        record["rows"][0]["leaning"].reverse()

    found = read_page(leaning(make_facts(change=turn)))
    (bars,) = found.charts["leaning-shares"]["data"]
    assert (bars["y"], bars["x"]) == (["mlp-0.0", "gated-1.0"], [0.7, 0.3])
    assert found.named("option") == []


def test_the_row_that_predicts_is_shown_first(make_facts: Callable, read_page: type) -> None:
    def more(record: dict[str, Any]) -> None:
        record["rows"][2]["leaning"] = [{"member": "mlp-0.1", "share": 1.0}]

    found = read_page(leaning(make_facts(change=more)))
    assert [option["value"] for option in found.named("option")] == [
        "average, all, row 3",
        "concat, row 1",
    ]


def test_what_was_not_measured_is_said(make_facts: Callable, read_page: type) -> None:
    found = read_page(leaning(make_facts(change=lambda r: r["rows"][0].update(leaning=None))))
    assert "It was not measured in this run." in found.text and found.charts == {}

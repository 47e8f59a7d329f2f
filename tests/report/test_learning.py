from __future__ import annotations

from collections.abc import Callable

from alnico.report.learning import learning


def test_each_member_has_both_losses_under_its_architecture(
    make_facts: Callable, read_page: type
) -> None:
    facts = make_facts()
    found = read_page(learning(facts))
    chart = found.charts["learning-curves"]
    assert "3 members of 2 architectures." in found.text
    assert [option["value"] for option in found.named("option")] == ["mlp", "gated"]
    assert [trace["meta"] for trace in chart["data"]] == ["mlp"] * 4 + ["gated"] * 2
    train, valid = chart["data"][:2]
    assert train["y"] == [1.0, 0.5, 0.333333, 0.25] and train["line"]["dash"] == "dot"
    assert valid["y"] == [1.1, 0.55, None, 0.275]  # a loss that was not finite is a gap
    assert train["line"]["color"] == valid["line"]["color"]
    assert [size > 0 for size in valid["marker"]["size"]] == [False, True, False, False]
    assert "pulled together" in valid["hovertemplate"] and "adamw" in valid["hovertemplate"]


def test_a_run_without_trained_members_has_a_sentence(
    make_facts: Callable, read_page: type
) -> None:
    facts = make_facts(change=lambda record: record.update(members=[]))
    found = read_page(learning(facts))
    assert "none was trained in this run" in found.text and found.charts == {}

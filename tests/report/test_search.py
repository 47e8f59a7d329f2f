from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alnico.report.search import search


def test_trials_the_best_so_far_and_failures_are_drawn(
    make_facts: Callable, read_page: type
) -> None:
    found = read_page(search(make_facts()))
    traces = {trace["name"]: trace for trace in found.charts["trials"]["data"]}
    so_far = traces["best so far"]
    assert (so_far["x"], so_far["y"]) == ([0, 2, 3], [0.31, 0.29, 0.29])
    assert (traces["families"]["x"], traces["families"]["y"]) == ([0, 2], [0.31, 0.29])
    assert traces["fusions"]["x"] == [3] and traces["failed"]["x"] == [1]
    assert traces["failed"]["text"] == ["trial 1, fusion mlp-1<br>failed: the loss was NaN"]
    assert "depth: 2<br>rate: 0.001" in traces["families"]["text"][0]
    assert "4 trials, seed 7; the value is the log_loss, lower is better." in found.text


def test_the_best_and_the_failed_trials_are_said_in_words(
    make_facts: Callable, read_page: type
) -> None:
    text = read_page(search(make_facts())).text
    assert "trial 1, mlp-1: the loss was NaN" in text and "1 trial failed" in text
    best = text[text.index("The best trials") :]
    places = [best.index(f"trial {n}: ") for n in (2, 3, 0)]
    assert places == sorted(places)


def test_without_a_search_there_is_a_sentence(make_facts: Callable, read_page: type) -> None:
    for study in (None, {"seed": 0, "objective": "x", "trials": []}):
        facts = make_facts(change=lambda record, study=study: record.update(study=study))
        found = read_page(search(facts))
        assert "Nothing was searched" in found.text and found.charts == {}


def test_a_search_in_which_all_failed_is_said(make_facts: Callable, read_page: type) -> None:
    def spoil(record: dict[str, Any]) -> None:
        for trial in record["study"]["trials"]:
            trial.update(value=None, state="failed", why="out of memory")

    found = read_page(search(make_facts(change=spoil)))
    assert "4 trials failed" in found.text and found.charts == {}

"""The search's history: the value of each trial, the best so far, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from alnico.report import words
from alnico.report.chart import ACCENT, HOVER, MUTED, TEXT, Chart, Trace, axis, draw, label, lines
from alnico.report.facts import Facts
from alnico.report.markup import Html, section, tag

_Trial: TypeAlias = Mapping[str, Any]


def search(facts: Facts) -> Html:
    """Value by trial, of families and of fusions; a sentence if nothing was searched."""
    study = facts.record.get("study")
    if study is None or not study["trials"]:
        none = "Nothing was searched: families and fusions are those of the first pass."
        more = " With --trials N or a time limit, alnico fit goes on to search."
        return section("search", "The search", tag("p", none + more))
    trials: list[_Trial] = study["trials"]
    failed = [trial for trial in trials if trial["value"] is None]
    done = [trial for trial in trials if trial["value"] is not None]
    said = (
        f"{words.counted(len(trials), 'trial')}, seed {study['seed']}; the value is the "
        f"{study['objective']}, lower is better."
    )
    return section(
        "search",
        "The search",
        tag("p", said),
        draw(_history(done, failed, str(study["objective"]))) if done else None,
        _best(done),
        _failed(failed),
    )


def _history(done: Sequence[_Trial], failed: Sequence[_Trial], objective: str) -> Chart:
    families = [trial for trial in done if trial["what"] == "family"]
    fusions = [trial for trial in done if trial["what"] != "family"]
    so_far = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [trial["number"] for trial in done],
        "y": list(accumulate((trial["value"] for trial in done), min)),
        "line": {"color": MUTED, "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip",
    }
    worst = max(trial["value"] for trial in done)
    last = max(trial["number"] for trial in (*done, *failed))
    traces = [
        so_far,
        _points("families", families, "circle", ACCENT),
        _points("fusions", fusions, "diamond", TEXT),
        _points("failed", [{**trial, "value": worst} for trial in failed], "x-thin", "--c2"),
    ]
    return Chart(
        "trials",
        "Value of each trial, and the best so far",
        "Each point is a trial; those that failed stand at the top with a cross, and say why.",
        [trace for trace in traces if trace["x"]],
        {
            "xaxis": axis("trial", tickformat="d", range=[-0.5, last + 0.5]),
            "yaxis": axis(label(objective)),
        },
    )


def _points(name: str, trials: Sequence[_Trial], symbol: str, colour: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [trial["number"] for trial in trials],
        "y": [trial["value"] for trial in trials],
        "marker": {
            "symbol": symbol,
            "size": 9,
            "color": colour,
            "line": {"color": colour, "width": 2 if symbol == "x-thin" else 0},
        },
        "text": [_hover(trial) for trial in trials],
        "hovertemplate": HOVER,
    }


def _hover(trial: _Trial) -> str:
    head = f"trial {trial['number']}, {label(trial['what'])} {label(trial['name'])}"
    if trial["why"] is not None:
        return lines(head, f"failed: {label(trial['why'])}")
    params = [f"{label(name)}: {label(value)}" for name, value in trial["params"].items()]
    return lines(head, f"{words.score(trial['value'])}, {words.seconds(trial['seconds'])}", *params)


def _best(done: Sequence[_Trial]) -> Html | None:
    """The three best trials in words, for those who cannot point at them."""
    if not done:
        return None
    best = sorted(done, key=lambda trial: (trial["value"], trial["number"]))[:3]
    items = [
        tag(
            "li",
            tag("b", words.score(trial["value"])),
            f"  trial {trial['number']}: {_said(trial)}",
        )
        for trial in best
    ]
    return tag("details", tag("summary", "The best trials"), tag("ul", *items))


def _said(trial: _Trial) -> str:
    params = ", ".join(f"{name} {value}" for name, value in trial["params"].items())
    return f"{trial['what']} {trial['name']} ({params})" if params else f"{trial['name']}"


def _failed(failed: Sequence[_Trial]) -> Html | None:
    if not failed:
        return None
    items = [tag("li", f"trial {t['number']}, {t['name']}: {t['why']}") for t in failed]
    what = f"{words.counted(len(failed), 'trial')} failed"
    return tag("details", tag("summary", what), tag("ul", *items))

"""How the members learned: losses by epoch, one architecture at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alnico.report import words
from alnico.report.chart import COLOURS, Chart, Trace, axis, draw, label, lines
from alnico.report.facts import Facts
from alnico.report.markup import Html, section, tag

_TOGETHER = {"shared": "trained on the loss of their joint output", "papa": "pulled together"}


def learning(facts: Facts) -> Html:
    """Training and validation loss of every member, and where it was stopped."""
    members = [member for member in facts.record["members"] if member["history"]]
    if not members:
        none = "No member has a history: none was trained in this run."
        return section("learning", "How the members learned", tag("p", none))
    architectures: dict[str, list[Mapping[str, Any]]] = {}
    for member in members:
        network = facts.record["networks"][member["network"]]
        architectures.setdefault(str(network["name"]), []).append(member)
    traces = [
        trace
        for name, group in architectures.items()
        for i, member in enumerate(group)
        for trace in _curves(member, COLOURS[i % len(COLOURS)], name)
    ]
    chart = Chart(
        "learning-curves",
        "Training and validation loss of the members by epoch",
        "Solid: validation loss, with a circle at the epoch that was kept. Dotted: training loss, "
        "as it was during the epoch, with dropout.",
        traces,
        {"xaxis": axis("epoch", tickformat="d"), "yaxis": axis("loss")},
        height=460,
        choices=list(architectures),
        choose="Architecture",
    )
    said = (
        f"{words.counted(len(members), 'member')} of "
        f"{words.counted(len(architectures), 'architecture')}."
    )
    return section("learning", "How the members learned", tag("p", said), draw(chart))


def _curves(member: Mapping[str, Any], colour: str, architecture: str) -> list[Trace]:
    history = member["history"]
    epochs = [epoch["epoch"] for epoch in history]
    name = label(member["name"])
    text = _hover(member)
    shared = {
        "type": "scatter",
        "x": epochs,
        "meta": architecture,
        "legendgroup": name,
        "hovertemplate": f"epoch %{{x}}: %{{y:.4f}}<br>{text}<extra></extra>",
    }
    kept = [8 if epoch == member["best_epoch"] else 0 for epoch in epochs]
    return [
        {
            **shared,
            "mode": "lines",
            "name": name,
            "y": [epoch["train_loss"] for epoch in history],
            "line": {"color": colour, "width": 1.5, "dash": "dot"},
            "showlegend": False,
        },
        {
            **shared,
            "mode": "lines+markers",
            "name": name,
            "y": [epoch["valid_loss"] for epoch in history],
            "line": {"color": colour, "width": 2},
            "marker": {"color": colour, "size": kept, "opacity": 1, "line": {"width": 0}},
        },
    ]


def _hover(member: Mapping[str, Any]) -> str:
    setting = member["setting"]
    how = f"{setting['optimiser']}, rate {setting['rate']:.3g}"
    together = _TOGETHER.get(member.get("together", "apart"))
    said = [label(member["name"]), label(how), f"stopped by {label(member['stopped'])}"]
    return lines(*said, *([together] if together else []))

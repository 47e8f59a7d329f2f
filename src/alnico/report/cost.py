"""What a score costs: against the number of parameters and the time that a row takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnico.evaluation.curves import pareto_front
from alnico.evaluation.drawing import title
from alnico.report import words
from alnico.report.chart import ACCENT, MUTED, TEXT, Chart, Trace, axis, draw, label, lines
from alnico.report.facts import Facts, Record
from alnico.report.markup import Html, pair, section, tag


def cost(facts: Facts) -> Html:
    """Score against size and against latency, with the rows that no other beats."""
    ranked = [row for row in facts.rows if row["valid"] is not None]
    timed = [row for row in ranked if row["microseconds_a_row"]]
    size = draw(_chart(facts, ranked, "parameters", "parameters"))
    late = tag("p", "Times were not measured: the run was interrupted before.", class_="muted")
    time = "microseconds to predict a row"
    return section(
        "cost",
        "Score against size and time",
        tag(
            "p",
            "The line joins the rows that no other row beats: none is as cheap and better. "
            "Scores are those of the validation part, as a choice must not be made on the test "
            "part.",
        ),
        pair(size, draw(_chart(facts, timed, "microseconds_a_row", time))) if timed else size,
        None if timed else late,
    )


def _chart(facts: Facts, rows: Sequence[Record], key: str, what: str) -> Chart:
    metric = facts.metric
    price = np.array([row[key] for row in rows], np.float64)
    score = np.array([row["valid"] for row in rows], np.float64)
    front = pareto_front(price, score, greater_is_better=metric.greater_is_better)
    others = [row for i, row in enumerate(rows) if i not in front and row is not facts.predicts]
    limits, n_outside = _limits(score, greater_is_better=metric.greater_is_better)
    up = "higher" if metric.greater_is_better else "lower"
    outside = f" {n_outside} rows that are far worse lie below." if n_outside else ""
    return Chart(
        f"cost-{key.split('_')[0]}",
        f"Validation score of each row against {what}",
        f"Up is better ({up} {metric.name}), left is cheaper.{outside}",
        [
            _front([rows[i] for i in front], key),
            _points("other rows", others, key, {"symbol": "circle-open", "color": MUTED}),
            _points("predicts", [facts.predicts], key, {"size": 13, "color": ACCENT}),
        ],
        {
            "xaxis": axis(what, type="log", dtick=1 if price.max() > 100 * price.min() else "D2"),
            "yaxis": axis(f"{metric.name}, validation part", range=limits),
        },
    )


def _front(rows: Sequence[Record], key: str) -> Trace:
    named = _apart(rows, key)
    middle = np.sqrt(rows[0][key] * rows[-1][key])
    return {
        **_points("no row beats it", rows, key, {"size": 9, "color": TEXT}),
        "mode": "lines+markers+text",
        "line": {"color": MUTED, "width": 1.5, "shape": "hv"},
        "text": [label(title(row)) if i in named else "" for i, row in enumerate(rows)],
        "textposition": ["top right" if row[key] <= middle else "top left" for row in rows],
        "textfont": {"size": 11, "color": MUTED},
        "cliponaxis": False,
    }


def _apart(rows: Sequence[Record], key: str) -> set[int]:
    """Which points of the front have room for their names: the best one, and those far from it."""
    price = np.log([row[key] for row in rows])
    score = np.array([row["valid"] for row in rows])
    wide, tall = np.ptp(price) or 1.0, np.ptp(score) or 1.0
    named: set[int] = set()
    for i in reversed(range(len(rows))):
        far = [
            abs(price[i] - price[j]) > 0.3 * wide or abs(score[i] - score[j]) > 0.12 * tall
            for j in named
        ]
        if all(far):
            named.add(i)
    return named


def _points(name: str, rows: Sequence[Record], key: str, marker: dict[str, Any]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [row[key] for row in rows],
        "y": [row["valid"] for row in rows],
        "marker": {"size": 8, **marker},
        "hovertext": [_hover(row) for row in rows],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _limits(score: NDArray[np.float64], *, greater_is_better: bool) -> tuple[list[float], int]:
    """The scores at the bottom and the top of the chart, and how many rows lie below it.

    A few networks that learned nothing must not press all others together.
    """
    loss = -score if greater_is_better else score
    best, middle, worst = loss.min(), np.median(loss), loss.max()
    if worst - best > 4 * (middle - best) > 0:
        worst = best + 1.5 * (middle - best)
    pad = 0.12 * (worst - best) or 1e-3
    bottom, top = worst + pad, best - pad
    sign = -1 if greater_is_better else 1
    return [float(sign * bottom), float(sign * top)], int((loss > bottom).sum())


def _hover(row: Record) -> str:
    return lines(
        f"# {row['row']}  {label(title(row))}",
        label(row["parts"]),
        f"valid {words.score(row['valid'])}, test {words.score(row['test'])}",
        f"{words.count(row['parameters'])} parameters, "
        f"{words.microseconds(row['microseconds_a_row'])} a row",
    )

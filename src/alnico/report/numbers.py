"""How well numbers are met: predicted against true values, and what is left over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alnico.report import words
from alnico.report.chart import ACCENT, MUTED, Chart, Trace, axis, draw, label
from alnico.report.facts import Facts
from alnico.report.markup import Html, pair, section, tag

_MAX_DOTS = 2000


def numbers(facts: Facts) -> Html:
    """Predicted against true values of a regression, and residuals."""
    truth, found = facts.truth.astype(np.float64), facts.prediction(facts.predicts)
    shown, note = _sample(len(truth))
    return section(
        "quality",
        "Predicted and true values",
        tag("p", f"Rows of the {facts.part_name}, by the row that predicts.{note}"),
        pair(
            draw(_values(facts, truth[shown], found[shown])),
            draw(_residuals(facts, truth[shown], found[shown])),
        ),
    )


def _sample(n_rows: int) -> tuple[NDArray[np.intp], str]:
    """Which rows are drawn, and what is said of it."""
    if n_rows <= _MAX_DOTS:
        return np.arange(n_rows), ""
    drawn = np.sort(np.random.default_rng(0).choice(n_rows, _MAX_DOTS, replace=False))
    return drawn, f" {words.count(_MAX_DOTS)} of {words.count(n_rows)}, drawn at random."


def _values(facts: Facts, truth: NDArray[np.float64], found: NDArray[np.float64]) -> Chart:
    ends = [float(min(truth.min(), found.min())), float(max(truth.max(), found.max()))]
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    diagonal = {"x0": ends[0], "y0": ends[0], "x1": ends[1], "y1": ends[1]}
    return Chart(
        "values",
        "Predicted against true values",
        "On the dotted line a prediction is exact.",
        [_dots(found, truth)],
        {
            "xaxis": axis(f"predicted {label(facts.target)}"),
            "yaxis": axis(f"true {label(facts.target)}"),
            "shapes": [{"type": "line", "line": line, **diagonal}],
        },
        height=440,
    )


def _residuals(facts: Facts, truth: NDArray[np.float64], found: NDArray[np.float64]) -> Chart:
    zero = {"y0": 0, "y1": 0, "line": {"color": MUTED, "width": 1, "dash": "dot"}}
    return Chart(
        "residuals",
        "Residuals against predicted values",
        "What is left over, true less predicted: a slope or a fan is something that the model "
        "has not learned.",
        [_dots(found, truth - found)],
        {
            "xaxis": axis(f"predicted {label(facts.target)}"),
            "yaxis": axis("true less predicted"),
            "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, **zero}],
        },
        height=440,
    )


def _dots(x: NDArray[np.float64], y: NDArray[np.float64]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "marker": {"color": ACCENT, "size": 5, "opacity": 0.45},
        "hovertemplate": "%{x:.5g}, %{y:.5g}<extra></extra>",
    }

"""Whether probabilities mean what they say: reliability of the row that predicts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alnico.evaluation.curves import reliability
from alnico.report import words
from alnico.report.chart import ACCENT, HOVER, MUTED, Chart, Trace, axis, draw, lines
from alnico.report.facts import Facts
from alnico.report.markup import Html, section, tag

_N_BARS = 40


def calibration(facts: Facts) -> Html:
    """Forecast probabilities against what happened, above how often each was forecast."""
    scores, truth = facts.prediction(facts.predicts), facts.truth
    if facts.kind == "binary":
        forecast, came_true = scores[:, 1], truth == 1
        of_what = f"that {facts.target} is {facts.classes[-1]}"
    else:
        forecast, came_true = scores.max(axis=1), scores.argmax(axis=1) == truth
        of_what = "of the class that is predicted"
    said = (
        f"Rows of the {facts.part_name} in ten groups of equally many, by the probability "
        f"{of_what}. On the dotted line it happens as often as it is forecast."
    )
    return section(
        "calibration",
        "Whether probabilities mean what they say",
        tag("p", said),
        draw(_chart(forecast, came_true)),
    )


def _chart(forecast: NDArray[np.float64], came_true: NDArray[np.bool_]) -> Chart:
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    end = min(1.0, float(np.quantile(forecast, 0.999)) * 1.05) or 1.0
    diagonal = {"type": "line", "x0": 0, "y0": 0, "x1": end, "y1": end, "line": line}
    return Chart(
        "reliability",
        "Share of rows in which it happened against the forecast probability, and a histogram of "
        "forecasts",
        "Above: the share of rows in which it happened, with 95 % intervals. Below: how many rows "
        "got which probability.",
        [_groups(forecast, came_true), _histogram(forecast, end)],
        {
            "xaxis": axis("forecast probability", range=[-0.01 * end, 1.01 * end], anchor="y2"),
            "yaxis": axis("it happened", domain=[0.32, 1], rangemode="tozero"),
            "yaxis2": axis("rows", domain=[0, 0.22], nticks=3),
            "shapes": [diagonal],
            "showlegend": False,
            "bargap": 0.08,
        },
        height=520,
    )


def _groups(forecast: NDArray[np.float64], came_true: NDArray[np.bool_]) -> Trace:
    found = reliability(came_true, forecast)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": found.forecast,
        "y": found.observed,
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": found.high - found.observed,
            "arrayminus": found.observed - found.low,
            "color": MUTED,
            "thickness": 1.5,
            "width": 0,
        },
        "line": {"color": ACCENT, "width": 2},
        "marker": {"color": ACCENT, "size": 8},
        "text": [
            lines(f"forecast {said:.3f}", f"happened {share:.3f}", f"{words.count(n)} rows")
            for said, share, n in zip(
                found.forecast.tolist(), found.observed.tolist(), found.count.tolist(), strict=True
            )
        ],
        "hovertemplate": HOVER,
    }


def _histogram(forecast: NDArray[np.float64], end: float) -> Trace:
    count, edges = np.histogram(forecast, bins=_N_BARS, range=(0.0, end))
    return {
        "type": "bar",
        "x": (edges[:-1] + edges[1:]) / 2,
        "y": count,
        "yaxis": "y2",
        "marker": {"color": MUTED},
        "hovertemplate": "%{x:.3f}: %{y} rows<extra></extra>",
    }

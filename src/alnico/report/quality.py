"""How well classes are told apart: ROC, precision and recall."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alnico.evaluation.curves import Curve, precision_recall, roc, thin
from alnico.evaluation.drawing import title
from alnico.evaluation.metrics import metrics
from alnico.report.chart import COLOURS, DASHES, MUTED, Chart, Trace, axis, draw, label
from alnico.report.facts import Facts, Record
from alnico.report.markup import Html, pair, section, tag

_MAX_POINTS = 400
_MAX_CLASSES = 6


def quality(facts: Facts) -> Html:
    """ROC and precision-recall curves of a classification."""
    curves = _of_rows(facts) if facts.kind == "binary" else _of_classes(facts)
    if not curves:
        none = "There are no curves: only one class occurs in these rows."
        return section("quality", "How well the classes are told apart", tag("p", none))
    return section(
        "quality",
        "How well the classes are told apart",
        tag("p", _what(facts)),
        pair(draw(_roc(curves)), draw(_precision(curves, facts))),
    )


def _what(facts: Facts) -> str:
    if facts.kind == "binary":
        return f"All rows of the {facts.part_name}; the positive class is {facts.classes[-1]}."
    more = "" if len(facts.classes) <= _MAX_CLASSES else f" The {_MAX_CLASSES} most frequent ones."
    return (
        f"All rows of the {facts.part_name}; each class against all others, by the row that "
        f"predicts.{more}"
    )


_Scored = list[tuple[str, NDArray[np.bool_], NDArray[np.float64]]]


def _of_rows(facts: Facts) -> _Scored:
    """The row that predicts, beside the best single network and the linear model."""
    positive = facts.truth == 1
    if positive.all() or not positive.any():
        return []
    single, linear = facts.single, next((r for r in facts.rows if r["kind"] == "linear"), None)
    chosen: list[Record] = [facts.predicts]
    chosen += [row for row in (single, linear) if row is not None and row not in chosen]
    return [
        (f"{row['row']}  {label(title(row))}", positive, facts.prediction(row)[:, 1])
        for row in chosen
    ]


def _of_classes(facts: Facts) -> _Scored:
    """Each class that occurs, the most frequent first, by the row that predicts."""
    truth, scores = facts.truth, facts.prediction(facts.predicts)
    counts = np.bincount(truth, minlength=len(facts.classes))
    order = [i for i in np.argsort(-counts, kind="stable") if 0 < counts[i] < len(truth)]
    return [(label(facts.classes[i]), truth == i, scores[:, i]) for i in order[:_MAX_CLASSES]]


def _line(name: str, curve: Curve, i: int, *, area: str) -> Trace:
    few = thin(curve, _MAX_POINTS)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{name}, {area}",
        "x": few.x,
        "y": few.y,
        "line": {
            "color": COLOURS[i % len(COLOURS)],
            "dash": DASHES[i % len(DASHES)],
            "width": 2.5 if i == 0 else 1.5,
        },
        "hovertemplate": "%{x:.3f}, %{y:.3f}<extra></extra>",
    }


def _area(metric: str, short: str, positive: NDArray[np.bool_], score: NDArray[np.float64]) -> str:
    both = np.stack([1 - score, score], axis=1)
    return f"{short} {metrics[metric].score(positive.astype(np.int64), both):.3f}"


def _roc(curves: _Scored) -> Chart:
    found = [
        _line(name, roc(positive, score), i, area=_area("roc_auc", "AUC", positive, score))
        for i, (name, positive, score) in enumerate(curves)
    ]
    diagonal = {"color": MUTED, "width": 1, "dash": "dot"}
    return Chart(
        "roc",
        "ROC curves: true positive rate against false positive rate",
        "ROC: the share of positive rows that are found, against the share of the others that are "
        "taken for positive. The dotted line is chance.",
        found,
        {
            "xaxis": axis("false positive rate", range=[-0.01, 1.01]),
            "yaxis": axis("true positive rate", range=[-0.01, 1.02]),
            "shapes": [{"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": diagonal}],
        },
        height=440,
    )


def _precision(curves: _Scored, facts: Facts) -> Chart:
    found = [
        _line(
            name,
            precision_recall(positive, score),
            i,
            area=_area("average_precision", "AP", positive, score),
        )
        for i, (name, positive, score) in enumerate(curves)
    ]
    layout: dict[str, Any] = {
        "xaxis": axis("recall", range=[-0.01, 1.01]),
        "yaxis": axis("precision", range=[-0.01, 1.02]),
    }
    chance = ""
    if facts.kind == "binary":
        share = float(curves[0][1].mean())
        line = {"color": MUTED, "width": 1, "dash": "dot"}
        layout["shapes"] = [
            {"type": "line", "x0": 0, "y0": share, "x1": 1, "y1": share, "line": line}
        ]
        chance = f" The dotted line is chance: {share:.1%} of the rows are positive."
    return Chart(
        "precision-recall",
        "Precision against recall",
        "Precision and recall: how many of the rows that are called positive are so, against how "
        f"many of the positive rows are found.{chance}",
        found,
        layout,
        height=440,
    )

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from alnico.report.quality import quality


def test_curves_of_two_classes_are_those_of_scikit_learn(
    make_facts: Callable, read_page: type
) -> None:
    facts = make_facts()
    charts = read_page(quality(facts)).charts
    rows = [facts.predicts, facts.single, facts.rows[4]]
    assert len(charts["roc"]["data"]) == 3
    for row, line, other in zip(
        rows, charts["roc"]["data"], charts["precision-recall"]["data"], strict=True
    ):
        score = facts.prediction(row)[:, 1]
        x, y, _ = roc_curve(facts.truth, score, drop_intermediate=False)
        np.testing.assert_allclose((line["x"], line["y"]), (x, y), atol=1e-5)
        assert line["name"].endswith(f"AUC {roc_auc_score(facts.truth, score):.3f}")
        precision, recall, _ = precision_recall_curve(facts.truth, score)
        drawn = (other["x"], other["y"])
        np.testing.assert_allclose(drawn, (recall[-2::-1], precision[-2::-1]), atol=1e-5)
        assert other["name"].endswith(f"AP {average_precision_score(facts.truth, score):.3f}")
    assert charts["roc"]["data"][0]["name"].startswith("3  average, all")
    chance = charts["precision-recall"]["layout"]["shapes"][0]["y0"]
    assert chance == pytest.approx(facts.truth.mean())


def test_of_several_classes_each_is_held_against_all_others(
    make_facts: Callable, read_page: type
) -> None:
    facts = make_facts("multiclass")
    found = read_page(quality(facts))
    lines = {line["name"].split(",")[0]: line for line in found.charts["roc"]["data"]}
    assert set(lines) == {"red", "green", "blue"}
    x, y, _ = roc_curve(facts.truth == 1, facts.prediction(facts.predicts)[:, 1])
    green = lines["green"]
    assert np.trapezoid(green["y"], green["x"]) == pytest.approx(np.trapezoid(y, x), abs=1e-4)
    assert "each class against all others" in found.text


def test_lines_differ_in_more_than_colour(make_facts: Callable, read_page: type) -> None:
    lines = read_page(quality(make_facts())).charts["roc"]["data"]
    assert len({line["line"]["dash"] for line in lines}) == 3


def test_one_class_alone_has_no_curves(make_facts: Callable, read_page: type) -> None:
    facts = make_facts()
    facts.__dict__["truth"] = np.zeros(200, np.int64)
    found = read_page(quality(facts))
    assert "only one class occurs" in found.text and found.charts == {}


def test_an_interrupted_run_has_curves_of_the_validation_part(
    make_facts: Callable, read_page: type
) -> None:
    found = read_page(quality(make_facts(is_open=False)))
    assert "All rows of the validation part" in found.text and len(found.charts) == 2

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from alnico.report.calibration import calibration
from alnico.report.facts import Facts, Record


def test_groups_are_those_of_scikit_learn(make_facts: Callable, read_page: type) -> None:
    facts = make_facts()
    found = read_page(calibration(facts))
    score = facts.prediction(facts.predicts)[:, 1]
    observed, forecast = calibration_curve(facts.truth, score, n_bins=10, strategy="quantile")
    groups, bars = found.charts["reliability"]["data"]
    np.testing.assert_allclose((groups["x"], groups["y"]), (forecast, observed), atol=1e-5)
    assert "by the probability that buys is yes" in found.text
    assert sum(bars["y"]) == pytest.approx(len(score), abs=2) and bars["yaxis"] == "y2"
    assert all(low >= 0 for low in groups["error_y"]["arrayminus"])


def test_of_several_classes_the_predicted_one_is_held_against_the_truth(
    make_facts: Callable, read_page: type
) -> None:
    facts = make_facts("multiclass")
    found = read_page(calibration(facts))
    scores = facts.prediction(facts.predicts)
    is_right = scores.argmax(1) == facts.truth
    observed, _ = calibration_curve(is_right, scores.max(1), n_bins=10, strategy="quantile")
    np.testing.assert_allclose(found.charts["reliability"]["data"][0]["y"], observed, atol=1e-5)
    assert "of the class that is predicted" in found.text


def test_forecasts_in_a_corner_fill_the_chart(make_facts: Callable, read_page: type) -> None:
    class Rare(Facts):
        truth = np.arange(200) % 50 == 0

        def prediction(self, row: Record) -> np.ndarray:
            rare = np.linspace(0.01, 0.05, 200)
            return np.stack([1 - rare, rare], axis=1)

    chart = read_page(calibration(Rare(make_facts().run))).charts["reliability"]
    low, high = chart["layout"]["xaxis"]["range"]
    assert low < 0 and 0.05 < high < 0.06
    (diagonal,) = chart["layout"]["shapes"]
    assert (diagonal["x1"], diagonal["y1"]) == (diagonal["y1"], diagonal["x1"])
    assert sum(chart["data"][1]["y"]) == 200


def test_a_forecast_of_nothing_but_zero_is_drawn_too(make_facts: Callable, read_page: type) -> None:
    class Never(Facts):
        truth = np.zeros(200, np.int64)

        def prediction(self, row: Record) -> np.ndarray:
            return np.tile([1.0, 0.0], (200, 1))

    groups, bars = read_page(calibration(Never(make_facts().run))).charts["reliability"]["data"]
    assert (groups["x"], groups["y"], sum(bars["y"])) == ([0], [0], 200)

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alnico.report.facts import Facts, Record
from alnico.report.numbers import numbers


def test_predicted_and_true_values_and_what_is_left_over(
    make_facts: Callable, read_page: type
) -> None:
    facts = make_facts("regression")
    charts = read_page(numbers(facts)).charts
    (values,), (residuals,) = charts["values"]["data"], charts["residuals"]["data"]
    predicted = facts.prediction(facts.predicts)
    np.testing.assert_allclose(values["x"], predicted, rtol=1e-5)
    np.testing.assert_allclose(values["y"], facts.truth, rtol=1e-5)
    np.testing.assert_allclose(residuals["y"], facts.truth - predicted, rtol=1e-5, atol=1e-5)
    (line,) = charts["values"]["layout"]["shapes"]
    assert line["x0"] == line["y0"] <= min(values["x"]) and line["x1"] == line["y1"]
    assert charts["values"]["layout"]["xaxis"]["title"]["text"] == "predicted buys"


def test_of_many_rows_some_are_drawn_and_that_is_said(
    make_facts: Callable, read_page: type
) -> None:
    class Many(Facts):
        truth = np.arange(5000.0)

        def prediction(self, row: Record) -> np.ndarray:
            return self.truth + 1

    facts = Many(make_facts("regression").run)
    first, again = (read_page(numbers(facts)) for _ in range(2))
    (dots,) = first.charts["values"]["data"]
    assert len(dots["x"]) == len(set(dots["x"])) == 2000
    assert set(np.subtract(dots["x"], dots["y"])) == {1.0}
    assert "2\u202f000 of 5\u202f000, drawn at random" in first.text
    assert first.charts == again.charts

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from alnico.errors import DataError
from alnico.evaluation.curves import (
    Curve,
    pareto_front,
    precision_recall,
    reliability,
    roc,
    thin,
)
from alnico.evaluation.metrics import metrics


def rows(n: int = 500, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(n)
    score = draw.random(n)
    positive = draw.random(n) < score
    return positive, score.round(1) if ties else score


@pytest.mark.parametrize("ties", [True, False])
def test_a_roc_curve_has_the_points_of_scikit_learn(ties: bool) -> None:
    positive, score = rows(ties=ties)
    x, y, _ = roc_curve(positive, score, drop_intermediate=False)
    found = roc(positive, score)
    np.testing.assert_allclose((found.x, found.y), (x, y))


@pytest.mark.parametrize("ties", [True, False])
def test_a_precision_recall_curve_has_the_points_of_scikit_learn(ties: bool) -> None:
    positive, score = rows(ties=ties)
    precision, recall, _ = precision_recall_curve(positive, score)
    found = precision_recall(positive, score)
    # scikit-learn goes from the lowest threshold on, and adds the point (0, 1)
    np.testing.assert_allclose((found.x, found.y), (recall[-2::-1], precision[-2::-1]))


def test_curves_of_one_class_alone_are_refused() -> None:
    score = np.linspace(0, 1, 5)
    for positive in (np.ones(5, bool), np.zeros(5, bool)):
        with pytest.raises(DataError, match="needs rows of both classes"):
            roc(positive, score)
    with pytest.raises(DataError, match="needs rows of the positive class"):
        precision_recall(np.zeros(5, bool), score)


@pytest.mark.parametrize("make", [roc, precision_recall])
def test_a_thinned_curve_is_near_the_whole_one(make: type) -> None:
    whole = make(*rows(20_000))
    few = thin(whole, 200)
    assert 50 < len(few.x) <= 200
    points = set(zip(whole.x.tolist(), whole.y.tolist(), strict=True))
    assert set(zip(few.x.tolist(), few.y.tolist(), strict=True)) <= points
    assert (few.x[0], few.x[-1], few.y[-1]) == (whole.x[0], whole.x[-1], whole.y[-1])
    late = whole.x > 0.05  # before, a precision is of few rows, and jumps
    drawn = np.interp(whole.x[late], few.x, few.y)
    assert np.abs(drawn - whole.y[late]).max() < 0.03
    assert thin(few, 200) is few


def test_reliability_has_the_groups_of_scikit_learn() -> None:
    positive, score = rows(1000)
    found = reliability(positive, score)
    observed, forecast = calibration_curve(positive, score, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(found.observed, observed)
    np.testing.assert_allclose(found.forecast, forecast)
    assert found.count.sum() == 1000 and found.count.max() - found.count.min() <= 2


def test_reliability_has_the_intervals_of_scipy() -> None:
    found = reliability(*rows(300))
    for i, n in enumerate(found.count):
        k = round(found.observed[i] * n)
        interval = binomtest(k, int(n)).proportion_ci(method="wilson")
        assert (found.low[i], found.high[i]) == pytest.approx((interval.low, interval.high))


def test_equal_forecasts_stay_in_one_group() -> None:
    positive, score = rows(400, ties=True)
    found = reliability(positive, np.where(score < 0.8, 0.1, score))
    assert len(found.count) < 10 and found.count.sum() == 400
    alone = reliability(np.array([True, False, True]), np.full(3, 0.4))
    assert (alone.forecast, alone.observed, alone.count) == (
        pytest.approx([0.4]),
        pytest.approx([2 / 3]),
        [3],
    )
    with pytest.raises(DataError, match="at least one row"):
        reliability(np.zeros(0, bool), np.zeros(0))


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_a_pareto_front_holds_what_no_other_point_beats(greater_is_better: bool) -> None:
    draw = np.random.default_rng(0)
    cost, score = draw.integers(0, 12, 60).astype(float), draw.integers(0, 12, 60).astype(float)
    gain = score if greater_is_better else -score

    def beats(i: int, j: int) -> bool:
        no_worse = cost[i] <= cost[j] and gain[i] >= gain[j]
        return bool(no_worse and (cost[i] < cost[j] or gain[i] > gain[j]))

    expected = {(cost[j], score[j]) for j in range(60) if not any(beats(i, j) for i in range(60))}
    front = pareto_front(cost, score, greater_is_better=greater_is_better)
    assert [(cost[i], score[i]) for i in front] == sorted(expected)


def test_a_point_equal_to_another_is_in_the_front_once() -> None:
    twice = np.array([1.0, 1.0])
    assert pareto_front(twice, twice, greater_is_better=True) == [0]
    assert pareto_front(np.zeros(0), np.zeros(0), greater_is_better=True) == []
    assert len(thin(Curve(twice, twice), 2).x) == 2


ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=60)


@given(pairs=ROWS)
def test_areas_under_the_curves_are_the_metrics(pairs: list[tuple[bool, int]]) -> None:
    positive, score = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs]) / 10
    if positive.all() or not positive.any():
        return
    target, both = positive.astype(np.int64), np.stack([1 - score, score], axis=1)
    area = roc(positive, score)
    assert np.trapezoid(area.y, area.x) == pytest.approx(metrics["roc_auc"].score(target, both))
    curve = precision_recall(positive, score)
    steps = (np.diff(curve.x, prepend=0.0) * curve.y).sum()
    assert steps == pytest.approx(metrics["average_precision"].score(target, both))


@given(pairs=ROWS, n_groups=st.integers(1, 12))
def test_groups_of_reliability_hold_every_row_once(
    pairs: list[tuple[bool, int]], n_groups: int
) -> None:
    came_true, forecast = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs]) / 10
    found = reliability(came_true, forecast, n_groups=n_groups)
    assert found.count.sum() == len(pairs) and 1 <= len(found.count) <= n_groups
    assert (found.forecast * found.count).sum() == pytest.approx(forecast.sum())
    assert (found.observed * found.count).sum() == pytest.approx(came_true.sum())
    assert (np.diff(found.forecast) > 0).all()
    assert (found.low <= found.observed + 1e-12).all() and (found.observed <= found.high).all()

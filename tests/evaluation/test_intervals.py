from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from alnico.errors import DataError, RecipeError
from alnico.evaluation import intervals
from alnico.evaluation.intervals import Gain, paired_gain
from alnico.evaluation.metrics import metrics


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    n = 2000
    target, theirs = np.zeros(n), np.random.exponential(size=n)
    ours = theirs * np.random.uniform(0.5, 1.2, size=n)
    difference = np.abs(theirs) - np.abs(ours)
    found = paired_gain(metrics["mae"], target, ours, theirs, resamples=4000)
    half = 1.959964 * difference.std() / np.sqrt(n)
    assert found.estimate == pytest.approx(difference.mean())
    assert found.low == pytest.approx(difference.mean() - half, abs=0.06 * half)
    assert found.high == pytest.approx(difference.mean() + half, abs=0.06 * half)


def test_the_interval_covers_the_true_gain_about_as_often_as_it_says() -> None:
    generator, covered = np.random.default_rng(1), 0
    for repeat in range(200):
        target = generator.normal(size=150)
        ours, theirs = (target + generator.normal(0, s, size=150) for s in (1.0, 2.0))
        truth = np.sqrt(2 / np.pi)  # E|N(0, 2)| - E|N(0, 1)|
        found = paired_gain(metrics["mae"], target, ours, theirs, resamples=300, seed=repeat)
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / 200 <= 0.98


def test_rows_alike_within_groups_make_the_interval_wider() -> None:
    group = np.repeat(np.arange(100), 20)
    ours = np.random.normal(0.2, 1, size=100)[group]
    theirs, target = np.random.normal(size=100)[group], np.zeros(2000)
    rows = paired_gain(metrics["rmse"], target, ours, theirs)
    named = np.array([f"customer {g}" for g in group])
    groups = paired_gain(metrics["rmse"], target, ours, theirs, groups=named)
    ratio = (groups.high - groups.low) / (rows.high - rows.low)
    assert ratio == pytest.approx(np.sqrt(20), rel=0.25)
    own = paired_gain(metrics["rmse"], target, ours, theirs, groups=np.arange(2000))
    assert (own.low, own.high) == pytest.approx((rows.low, rows.high))


@pytest.mark.parametrize("name", list(metrics))
def test_equal_predictions_gain_exactly_nothing(name: str) -> None:
    if name in ("rmse", "mae", "r2"):
        target, prediction = np.random.normal(size=333), np.random.normal(size=333)
    else:
        target, prediction = np.random.randint(3, size=333), np.random.dirichlet(np.ones(3), 333)
    found = paired_gain(metrics[name], target, prediction, prediction.copy(), resamples=50)
    assert found == Gain(0.0, 0.0, 0.0)


def test_a_better_model_has_a_positive_gain_in_either_direction_of_the_metric() -> None:
    target = np.random.randint(2, size=400)
    sure = np.clip(target * 0.6 + 0.2 + np.random.normal(0, 0.1, 400), 0.01, 0.99)
    ours, theirs = np.stack([1 - sure, sure], 1), np.full((400, 2), 0.5)
    for name in ("log_loss", "roc_auc", "brier", "average_precision"):
        assert paired_gain(metrics[name], target, ours, theirs, resamples=100).low > 0


def test_resamples_without_one_of_the_classes_are_left_out() -> None:
    target = np.array([1] + [0] * 29)
    p = np.random.rand(2, 30)
    ours, theirs = (np.stack([1 - x, x], 1) for x in p)
    found = paired_gain(metrics["roc_auc"], target, ours, theirs, resamples=200)
    assert -1 <= found.low <= found.estimate <= found.high <= 1


def test_a_score_that_no_resample_defines_is_an_error() -> None:
    target, p = np.array([0, 1]), np.array([[0.6, 0.4], [0.3, 0.7]])

    def found(seed: int) -> Gain:
        return paired_gain(metrics["roc_auc"], target, p, p, resamples=1, seed=seed)

    one_class = [s for s in range(9) if len({*np.random.default_rng(s).integers(2, size=2)}) == 1]
    with pytest.raises(DataError, match="roc_auc is undefined on every resample"):
        found(one_class[0])


def test_a_seed_repeats_itself_and_another_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    target, ours, theirs = np.random.normal(size=(3, 100))

    def found(seed: int) -> Gain:
        return paired_gain(metrics["mae"], target, ours, theirs, resamples=64, seed=seed)

    first = found(3)
    assert found(3) == first and found(4) != first
    monkeypatch.setattr(intervals, "CHUNK", 200)  # two resamples at a time
    assert (found(3).low, found(3).high) == pytest.approx((first.low, first.high))


def test_a_million_rows_stay_within_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 1_000_000
    target, p = np.random.randint(2, size=n), np.random.rand(n).astype(np.float32)
    ours = np.stack([1 - p, p], 1)
    tracemalloc.start()
    try:
        paired_gain(metrics["roc_auc"], target, ours, ours, resamples=2)
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"resamples": 0}, RecipeError, "resamples must be at least 1, got 0"),
        ({"level": 95}, RecipeError, "got 95\n  help: 95 % is 0.95"),
        ({"groups": np.zeros(9)}, DataError, "at least 2 groups to draw from, got 1"),
        ({"groups": np.zeros(3)}, DataError, r"one for each row, got \(3,\)"),
    ],
)
def test_bad_options_are_named(options: dict, error: type, message: str) -> None:
    target = np.arange(9.0)
    with pytest.raises(error, match=message):
        paired_gain(metrics["mae"], target, target, target, **options)


def test_one_row_has_no_interval() -> None:
    with pytest.raises(DataError, match="at least 2 rows to draw from, got 1"):
        paired_gain(metrics["mae"], np.zeros(1), np.zeros(1), np.zeros(1))

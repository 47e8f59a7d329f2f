from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from alnico.errors import DataError, RecipeError, UnknownNameError
from alnico.evaluation.metrics import for_task, gain, metrics, score
from alnico.types import Task

BINARY = Task("binary", ("no", "yes"))
MULTI = Task("multiclass", ("a", "b", "c"))
NUMBER = Task("regression")


def probabilities(n: int, c: int, *, tied: bool = False) -> np.ndarray:
    logits = np.random.normal(size=(n, c))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if tied and c == 2:
        first = np.round(p[:, 0], 1)
        return np.stack([first, 1 - first], 1)
    return np.random.dirichlet(np.ones(c), size=4)[np.random.randint(4, size=n)] if tied else p


def weighted(function: Callable[..., float], **options: Any) -> Callable[..., float]:
    return lambda y, p, w: function(y, p, sample_weight=w, **options)


def on_labels(function: Callable[..., float], **options: Any) -> Callable[..., float]:
    return lambda y, p, w: function(y, p.argmax(1), sample_weight=w, **options)


def on_positive(function: Callable[..., float]) -> Callable[..., float]:
    return lambda y, p, w: function(y, p[:, 1], sample_weight=w)


def each_class(function: Callable[..., float]) -> Callable[..., float]:
    return lambda y, p, w: float(
        np.mean([function(y == c, p[:, c], sample_weight=w) for c in range(p.shape[1])])
    )


SKLEARN = {
    ("log_loss", 2): lambda y, p, w: sk.log_loss(y, p, sample_weight=w),
    ("log_loss", 3): lambda y, p, w: sk.log_loss(y, p, sample_weight=w),
    ("roc_auc", 2): on_positive(sk.roc_auc_score),
    ("roc_auc", 3): weighted(sk.roc_auc_score, multi_class="ovr", average="macro"),
    ("average_precision", 2): on_positive(sk.average_precision_score),
    ("average_precision", 3): each_class(sk.average_precision_score),
    ("accuracy", 2): on_labels(sk.accuracy_score),
    ("accuracy", 3): on_labels(sk.accuracy_score),
    ("f1", 2): on_labels(sk.f1_score),
    ("f1", 3): on_labels(sk.f1_score, average="macro"),
    ("brier", 2): on_positive(sk.brier_score_loss),
    ("brier", 3): weighted(sk.brier_score_loss),
}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("name", "c"), SKLEARN)
def test_classification_metrics_equal_scikit_learn(name: str, c: int, tied: bool) -> None:
    target, p = np.random.randint(c, size=300), probabilities(300, c, tied=tied)
    weight = np.random.randint(0, 4, size=(5, 300)) * np.random.uniform(size=(5, 300))
    theirs = SKLEARN[name, c]
    assert metrics[name].score(target, p) == pytest.approx(theirs(target, p, None), rel=1e-12)
    expected = [theirs(target, p, w) for w in weight]
    np.testing.assert_allclose(metrics[name].score(target, p, weight), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("rmse", sk.root_mean_squared_error),
        ("mae", sk.mean_absolute_error),
        ("r2", sk.r2_score),
    ],
)
def test_regression_metrics_equal_scikit_learn(name: str, theirs: Callable[..., float]) -> None:
    target = np.random.normal(1e4, 3, size=200)
    prediction = (target + np.random.normal(size=200)).astype(np.float32)
    weight = np.random.exponential(size=(4, 200))
    expected = [theirs(target, prediction.astype(float), sample_weight=w) for w in weight]
    assert score(name, target, prediction) == pytest.approx(
        theirs(target, prediction.astype(float)), rel=1e-9
    )
    np.testing.assert_allclose(metrics[name].score(target, prediction, weight), expected, rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_clips_certainty_as_scikit_learn_does(dtype: type) -> None:
    p = np.array([[1, 0], [0, 1], [0, 1]], dtype=dtype)
    target = np.array([0, 1, 0])
    assert score("log_loss", target, p) == pytest.approx(sk.log_loss(target, p), rel=1e-6)


@pytest.mark.parametrize("name", [m for m in metrics if "multiclass" in metrics[m].tasks])
def test_an_integer_weight_is_as_good_as_repeating_the_row(name: str) -> None:
    target, p = np.random.randint(3, size=60), probabilities(60, 3, tied=True)
    times = np.random.randint(3, size=60)
    repeated = metrics[name].score(np.repeat(target, times), np.repeat(p, times, axis=0))
    assert metrics[name].score(target, p, times[None].astype(float))[0] == pytest.approx(repeated)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "f1"])
def test_a_class_that_does_not_occur_is_left_out_of_the_mean(name: str) -> None:
    target, p = np.random.randint(2, size=100), probabilities(100, 3)
    p[:, 2] = 0.0
    p /= p.sum(1, keepdims=True)
    if name == "f1":
        assert score(name, target, p) == pytest.approx(
            sk.f1_score(target, p.argmax(1), average="macro")
        )
        return
    one = sk.roc_auc_score if name == "roc_auc" else sk.average_precision_score
    expected = (one(target == 0, p[:, 0]) + one(target == 1, p[:, 1])) / 2
    assert score(name, target, p) == pytest.approx(expected)


def test_a_score_that_is_undefined_is_an_error_and_nan_among_weightings() -> None:
    p = probabilities(4, 2)
    with pytest.raises(DataError, match="roc_auc is undefined on these 4 rows"):
        score("roc_auc", np.ones(4, int), p)
    weight = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0]])
    both = metrics["roc_auc"].score(np.array([0, 0, 1, 1]), p, weight)
    assert np.isnan(both[0]) and both[1] in (0.0, 0.5, 1.0)
    with pytest.raises(DataError, match="r2 is undefined"):
        score("r2", np.full(3, 0.1), np.array([0.1, 0.2, 0.3]))


def test_gain_is_positive_for_the_better_model_whatever_the_metric() -> None:
    assert gain(metrics["log_loss"], 0.2, 0.3) == pytest.approx(0.1)
    assert gain(metrics["roc_auc"], 0.9, 0.8) == pytest.approx(0.1)


def test_a_task_has_its_default_and_refuses_what_does_not_fit() -> None:
    assert for_task(None, MULTI).name == "log_loss"
    assert for_task(None, NUMBER).name == "rmse"
    assert for_task("f1", BINARY).name == "f1"
    with pytest.raises(UnknownNameError, match="did you mean 'roc_auc'"):
        for_task("roc_acu", BINARY)
    with pytest.raises(RecipeError, match="roc_auc does not score a regression") as error:
        for_task("roc_auc", NUMBER)
    assert error.value.help == "choose one of rmse, mae, r2"


GOOD = np.array([[0.2, 0.8], [0.7, 0.3]])


@pytest.mark.parametrize(
    ("target", "prediction", "message"),
    [
        (np.array([0, 1]), GOOD * np.nan, "4 of 4 predictions are NaN"),
        (np.array([0, 1]), GOOD * 5, "not probabilities"),
        (np.array([0, 1]), np.array([[-0.1, 1.1], [0, 1]]), "not probabilities"),
        (np.array([0, 2]), GOOD, "must lie in 0 to 1"),
        (np.array([0.0, 1.0]), GOOD, "holds class indices, got dtype float64"),
        (np.array([0, 1, 1]), GOOD, r"got \(3,\) and \(2, 2\)"),
        (np.array([0, 1]), GOOD[:, 1], r"got \(2,\) and \(2,\)"),
        (np.empty(0, int), GOOD[:0], "no rows"),
    ],
)
def test_what_cannot_be_scored_is_named(
    target: np.ndarray, prediction: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        score("accuracy", target, prediction)


def test_regression_names_bad_values_and_bad_weights() -> None:
    with pytest.raises(DataError, match="1 of 2 predictions are NaN or infinite"):
        score("mae", np.zeros(2), np.array([np.inf, 0]))
    with pytest.raises(DataError, match="1 of 2 targets are NaN or infinite"):
        score("mae", np.array([np.nan, 0]), np.zeros(2))
    with pytest.raises(DataError, match=r"got \(2,\) and \(2, 1\)"):
        score("mae", np.zeros(2), np.zeros((2, 1)))
    with pytest.raises(DataError, match="not negative"):
        metrics["mae"].score(np.zeros(2), np.ones(2), np.array([[1.0, -1.0]]))
    with pytest.raises(DataError, match=r"weights are \[b, 2\], got \(2,\)"):
        metrics["mae"].score(np.zeros(2), np.ones(2), np.ones(2))

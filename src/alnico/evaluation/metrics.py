"""The metrics that models are ranked by: one definition each, for rows and for weighted rows.

A bootstrap is a matrix of row weights, so `score` takes one and gives a score for each of its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from alnico.errors import DataError, RecipeError
from alnico.evaluation.ranking import (
    Floats,
    Scorer,
    average_precision_scorer,
    divide,
    roc_auc_scorer,
)
from alnico.registry import Registry
from alnico.types import Kind, Task

Target: TypeAlias = NDArray[np.integer] | NDArray[np.floating]
Prediction: TypeAlias = NDArray[np.floating]
F = TypeVar("F", float, Floats)

CLASSES: frozenset[Kind] = frozenset({"binary", "multiclass"})
NUMBERS: frozenset[Kind] = frozenset({"regression"})
DEFAULTS: dict[Kind, str] = {
    "binary": "log_loss",
    "multiclass": "log_loss",
    "regression": "rmse",
}


@dataclass(frozen=True)
class Metric:
    """A score of predictions.

    Args:
        name: What it is called in options and tables.
        greater_is_better: Whether a better model scores higher.
        tasks: The kinds of task that it scores.
        prepare: Checked target and predictions -> the scorer of row weights.
    """

    name: str
    greater_is_better: bool
    tasks: frozenset[Kind]
    prepare: Callable[[Target, Prediction], Scorer]

    def scorer(self, target: Target, prediction: Prediction) -> Scorer:
        """Check and sort once; the result scores any number of row weightings [b, n] -> [b].

        Args:
            target: [n], the index of each row's class, or its value.
            prediction: [n, c] probabilities, or [n] values.

        Raises:
            DataError: If the shapes do not fit, or predictions are NaN or no probabilities.
        """
        if self.tasks == NUMBERS:
            _check_values(self.name, target, prediction)
        else:
            _check_probabilities(self.name, target, prediction)
        return self.prepare(target, prediction)

    @overload
    def score(self, target: Target, prediction: Prediction, weight: None = None) -> float: ...
    @overload
    def score(self, target: Target, prediction: Prediction, weight: Floats) -> Floats: ...
    def score(
        self, target: Target, prediction: Prediction, weight: Floats | None = None
    ) -> float | Floats:
        """Score the predictions.

        Args:
            target: [n], the index of each row's class, or its value.
            prediction: [n, c] probabilities, or [n] values.
            weight: [b, n], not negative: one score is given for each of the b weightings.

        Returns:
            The score, or [b] scores; there NaN marks a weighting under which it is undefined.

        Raises:
            DataError: If the input cannot be scored, or the score is undefined on these rows.
        """
        scorer = self.scorer(target, prediction)
        if weight is not None:
            if weight.ndim != 2 or weight.shape[1] != len(target):
                shape = tuple(weight.shape)
                raise DataError(f"{self.name}: weights are [b, {len(target)}], got {shape}")
            if not np.isfinite(weight).all() or (weight < 0).any():
                raise DataError(f"{self.name}: weights must be finite and not negative")
            return scorer(np.asarray(weight, np.float64))
        value = float(scorer(np.ones((1, len(target))))[0])
        if np.isnan(value):
            raise DataError(
                f"{self.name} is undefined on these {len(target)} rows",
                help="too few classes, or only one value, occur in them; choose another metric",
            )
        return value


def score(name: str, target: Target, prediction: Prediction) -> float:
    """Score predictions by the metric called `name`; see `Metric.score`."""
    return metrics[name].score(target, prediction)


def gain(metric: Metric, ours: F, theirs: F) -> F:
    """How much better `ours` scores than `theirs`: positive is better for every metric."""
    return ours - theirs if metric.greater_is_better else theirs - ours


def for_task(name: str | None, task: Task) -> Metric:
    """The metric called `name`, or the task's default: log_loss for classes, rmse for numbers.

    Raises:
        UnknownNameError: If there is no such metric.
        RecipeError: If it scores another kind of task.
    """
    metric = metrics[name or DEFAULTS[task.kind]]
    if task.kind not in metric.tasks:
        fitting = ", ".join(m.name for m in metrics.values() if task.kind in m.tasks)
        raise RecipeError(
            f"{metric.name} does not score a {task.kind} task", help=f"choose one of {fitting}"
        )
    return metric


def _check_values(name: str, target: Target, prediction: Prediction) -> None:
    if prediction.ndim != 1 or target.shape != prediction.shape:
        raise DataError(
            f"{name} compares [n] values with [n] values, "
            f"got {tuple(target.shape)} and {tuple(prediction.shape)}"
        )
    _check_finite(name, "targets", target)
    _check_finite(name, "predictions", prediction)


def _check_probabilities(name: str, target: Target, prediction: Prediction) -> None:
    if prediction.ndim != 2 or prediction.shape[1] < 2 or target.shape != prediction.shape[:1]:
        raise DataError(
            f"{name} compares [n] classes with [n, c] probabilities, "
            f"got {tuple(target.shape)} and {tuple(prediction.shape)}"
        )
    _check_finite(name, "predictions", prediction)
    n_classes = prediction.shape[1]
    if target.dtype.kind not in "iu":
        raise DataError(f"{name}: the target holds class indices, got dtype {target.dtype}")
    if target.min() < 0 or target.max() >= n_classes:
        raise DataError(f"{name}: class indices must lie in 0 to {n_classes - 1}")
    rounding = 1e-3
    sums = prediction.sum(axis=1, dtype=np.float64)
    if prediction.min() < 0 or np.abs(sums - 1).max() > rounding:
        raise DataError(
            f"{name}: predictions are not probabilities: some are negative or do not sum to 1",
            help="turn logits into probabilities with softmax first",
        )


def _check_finite(name: str, what: str, values: Target) -> None:
    if len(values) == 0:
        raise DataError(f"{name}: there are no rows to score")
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(f"{name}: {bad} of {values.size} {what} are NaN or infinite")


def _mean(loss: Callable[[Target, Prediction], Floats]) -> Callable[[Target, Prediction], Scorer]:
    """The scorer that is the weighted mean of a loss of each row."""

    def prepare(target: Target, prediction: Prediction) -> Scorer:
        row_loss = loss(target, prediction)
        return lambda weight: divide(weight @ row_loss, weight.sum(axis=1))

    return prepare


def _log_loss(target: Target, prediction: Prediction) -> Floats:
    chosen = np.take_along_axis(prediction, target[:, None].astype(np.int64), axis=1)[:, 0]
    smallest = np.finfo(prediction.dtype).eps  # as scikit-learn: nobody is infinitely wrong
    return -np.log(np.clip(chosen, smallest, 1 - smallest).astype(np.float64))


def _accuracy(target: Target, prediction: Prediction) -> Floats:
    right: NDArray[np.bool_] = prediction.argmax(axis=1) == target
    return right.astype(np.float64)


def _brier(target: Target, prediction: Prediction) -> Floats:
    n_classes = prediction.shape[1]
    hit = target[:, None] == np.arange(n_classes)
    off: Floats = ((prediction.astype(np.float64) - hit) ** 2).sum(axis=1)
    return off / 2 if n_classes == 2 else off  # of two classes: (p - y)^2, as it is usually given


def _squared(target: Target, prediction: Prediction) -> Floats:
    return (prediction.astype(np.float64) - target) ** 2


def _absolute(target: Target, prediction: Prediction) -> Floats:
    return np.abs(prediction.astype(np.float64) - target)


def _rmse(target: Target, prediction: Prediction) -> Scorer:
    mean_square = _mean(_squared)(target, prediction)
    return lambda weight: np.sqrt(mean_square(weight))


def _r2(target: Target, prediction: Prediction) -> Scorer:
    """One less the squared error's share of the variance; undefined for a constant target."""
    error = _squared(target, prediction)
    centred = target.astype(np.float64) - np.median(target)  # exact zeros if it is constant

    def score_of(weight: Floats) -> Floats:
        square, mean = weight @ centred**2, divide(weight @ centred, weight.sum(axis=1))
        spread = square - weight.sum(axis=1) * mean**2
        spread[spread <= 1e-12 * square] = 0.0  # one value under this weighting
        return 1 - divide(weight @ error, spread)

    return score_of


def _f1(target: Target, prediction: Prediction) -> Scorer:
    """Of the last of two classes, else the mean over the classes that occur or are predicted."""
    chosen, n_classes = prediction.argmax(axis=1), prediction.shape[1]
    counted = [1] if n_classes == 2 else list(range(n_classes))

    def score_of(weight: Floats) -> Floats:
        of_class = []
        for c in counted:
            called, true = chosen == c, target == c
            either = weight @ called.astype(np.float64) + weight @ true.astype(np.float64)
            of_class.append(divide(2 * (weight @ (called & true).astype(np.float64)), either))
        return _mean_of_defined(of_class)

    return score_of


def _ranking(
    one_class: Callable[[NDArray[np.bool_], Prediction], Scorer],
) -> Callable[[Target, Prediction], Scorer]:
    """Rank by the last of two classes; of more, average one class against the rest.

    A class under whose rows the score is undefined, as it does not occur, is left out of the mean.
    """

    def prepare(target: Target, prediction: Prediction) -> Scorer:
        n_classes = prediction.shape[1]
        counted = [1] if n_classes == 2 else list(range(n_classes))
        scorers = [one_class(target == c, prediction[:, c]) for c in counted]
        return lambda weight: _mean_of_defined([scorer(weight) for scorer in scorers])

    return prepare


def _mean_of_defined(scores: list[Floats]) -> Floats:
    """The mean over classes of the scores that are defined, [b] each -> [b]."""
    table = np.stack(scores)
    return divide(np.nansum(table, axis=0), (~np.isnan(table)).sum(axis=0).astype(np.float64))


metrics: Registry[Metric] = Registry("metric")
for _metric in (
    Metric("log_loss", False, CLASSES, _mean(_log_loss)),
    Metric("roc_auc", True, CLASSES, _ranking(roc_auc_scorer)),
    Metric("average_precision", True, CLASSES, _ranking(average_precision_scorer)),
    Metric("accuracy", True, CLASSES, _mean(_accuracy)),
    Metric("f1", True, CLASSES, _f1),
    Metric("brier", False, CLASSES, _mean(_brier)),
    Metric("rmse", False, NUMBERS, _rmse),
    Metric("mae", False, NUMBERS, _mean(_absolute)),
    Metric("r2", True, NUMBERS, _r2),
):
    metrics.add(_metric.name, _metric)

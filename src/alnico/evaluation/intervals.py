"""How sure a gain is: a paired bootstrap over rows, or over whole groups of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alnico.errors import DataError, RecipeError
from alnico.evaluation.metrics import Metric, Prediction, Target, gain
from alnico.evaluation.ranking import Floats

MAX_DRAWS = 100_000_000
"""Rows times resamples: 1,000 resamples up to 100,000 rows, fewer above, never under 100."""

CHUNK = 1_000_000
"""Entries of one matrix of row weights, so that memory does not grow with the resamples."""


@dataclass(frozen=True)
class Gain:
    """How much better one model scores than another, with an interval; positive is better.

    Args:
        estimate: The gain on the rows as they are.
        low: The interval's lower end.
        high: Its upper end.
    """

    estimate: float
    low: float
    high: float


def paired_gain(
    metric: Metric,
    target: Target,
    ours: Prediction,
    theirs: Prediction,
    *,
    groups: NDArray[np.generic] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Gain:
    """Estimate the gain of `ours` over `theirs` with a paired percentile bootstrap.

    Both models are scored on the same resampled rows, so what makes rows hard for both cancels.
    Resamples on which the score is undefined, e.g. without one of the classes, are left out.

    Args:
        metric: What they are compared by.
        target: [n], see `Metric.score`.
        ours: Predictions of the model in question.
        theirs: Predictions of the model that it is compared with, for the same rows.
        groups: [n], e.g. customers; rows of one group are drawn together.
        resamples: How many resamples; fewer are drawn when there are very many rows.
        level: The share of resamples between `low` and `high`.
        seed: Of the resampling.

    Raises:
        RecipeError: If `resamples` or `level` is out of range.
        DataError: If the rows cannot be scored, or are too few to resample.
    """
    if resamples < 1:
        raise RecipeError(f"resamples must be at least 1, got {resamples}")
    if not 0 < level < 1:
        raise RecipeError(f"level must lie between 0 and 1, got {level}", help="95 % is 0.95")
    score_ours = metric.scorer(target, ours)
    score_theirs = metric.scorer(target, theirs)
    estimate = gain(metric, metric.score(target, ours), metric.score(target, theirs))
    unit, n_units = _units(groups, len(target))
    drawn = []
    n_rows, affordable = len(target), max(100, MAX_DRAWS // len(target))
    for weight in _weights(
        unit, n_rows=n_rows, n_units=n_units, resamples=min(resamples, affordable), seed=seed
    ):
        drawn.append(gain(metric, score_ours(weight), score_theirs(weight)))
    gains = np.concatenate(drawn)
    defined = gains[np.isfinite(gains)]
    if len(defined) == 0:
        raise DataError(f"{metric.name} is undefined on every resample of these rows")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Gain(estimate, float(low), float(high))


def _units(groups: NDArray[np.generic] | None, n_rows: int) -> tuple[NDArray[np.intp] | None, int]:
    """The unit of each row that is drawn as a whole (None: each row is its own), and how many."""
    what = "rows" if groups is None else "groups"
    if groups is None:
        unit, n_units = None, n_rows
    elif groups.shape != (n_rows,):
        raise DataError(f"groups are [{n_rows}], one for each row, got {tuple(groups.shape)}")
    else:
        names, unit = np.unique(groups, return_inverse=True)
        n_units = len(names)
    if n_units < 2:
        raise DataError(f"an interval needs at least 2 {what} to draw from, got {n_units}")
    return unit, n_units


def _weights(
    unit: NDArray[np.intp] | None, *, n_rows: int, n_units: int, resamples: int, seed: int
) -> Iterator[Floats]:
    """How often each row is drawn, [b, n] at a time: multinomial counts of the units."""
    generator = np.random.default_rng(seed)
    at_once = max(1, CHUNK // n_rows)
    for start in range(0, resamples, at_once):
        b = min(at_once, resamples - start)
        drawn = generator.integers(n_units, size=(b, n_units))
        place = drawn + n_units * np.arange(b)[:, None]
        counts = np.bincount(place.ravel(), minlength=b * n_units).reshape(b, n_units)
        yield (counts if unit is None else counts[:, unit]).astype(np.float64)

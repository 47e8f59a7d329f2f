"""Columns that give the target away: each is scored alone, on rows that it was not fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alnico.types import Task

if TYPE_CHECKING:
    import polars as pl

    from alnico.data.schema import Column, Schema

_MAX_ROWS, _MIN_ROWS, _MAX_CELLS = 20_000, 2_000, 20_000_000
_MAX_CLASSES = 20  # the most frequent ones are scored
_MAX_BINS, _ROWS_PER_BIN = 32, 4
_PRIOR_ROWS = 0.1  # weight of the overall mean beside a bin's own rows
_CHANCE = 0.01  # of naming any column of a table that holds no leak


@dataclass(frozen=True)
class Leak:
    """A column that predicts the target too well to be true.

    Args:
        column: Its name.
        score: How well it predicts alone.
        metric: What the score is: "AUC", "mean AUC of the classes", or "R2 of ranks".
    """

    column: str
    score: float
    metric: str


def find_leaks(
    frame: pl.DataFrame,
    schema: Schema,
    target: NDArray[np.int64] | NDArray[np.float32],
    task: Task,
    *,
    threshold: float = 0.95,
    seed: int = 0,
) -> list[Leak]:
    """Score every feature but texts alone, and name those at or above the threshold.

    A column's values are put into bins (each category, each of few numbers, quantiles, and the
    missing ones), and the target is predicted by its mean in the bin over the other half of the
    rows. Ranks of a regression's target are predicted, so that a few huge values do not hide a
    leak. In a small table a score must also be too high for the best of so many columns of noise.

    Args:
        frame: The rows.
        schema: The features.
        target: What `alnico.data.target.encode_target` gives. [n]
        task: What is predicted.
        threshold: The lowest score of a leak.
        seed: Of the choice of rows and halves.

    Returns:
        The leaks, the worst first.
    """
    columns = [column for column in schema.columns if column.type != "text"]
    if not columns or (target == target[0]).all():
        return []
    generator = np.random.default_rng(seed)
    n_rows = min(len(target), _MAX_ROWS, max(_MIN_ROWS, _MAX_CELLS // len(columns)))
    rows = np.sort(generator.permutation(len(target))[:n_rows])
    wanted = _indicators(target[rows]) if task.is_classification else _ranks(target[rows])
    half = _halves(target[rows], generator)
    n_bins = min(_MAX_BINS, max(2, n_rows // _ROWS_PER_BIN))
    binned = frame[rows].select(_bins(column, n_bins) for column in columns)
    score, least = _r2, threshold
    if task.is_classification:
        score, least = _auc, max(threshold, _best_of_noise(wanted, len(columns)))
    metric = {"binary": "AUC", "multiclass": "mean AUC of the classes"}.get(
        task.kind, "R2 of ranks"
    )
    leaks = []
    for bins in binned:
        value = score(_predict(bins.to_numpy(), wanted, half), wanted)
        if value >= least:
            leaks.append(Leak(bins.name, value, metric))
    return sorted(leaks, key=lambda leak: -leak.score)


def _indicators(target: NDArray[np.int64] | NDArray[np.float32]) -> NDArray[np.float64]:
    """1 where a row is of a class, for each frequent class; for the second only, of two. [n, c]"""
    classes, counts = np.unique(target, return_counts=True)
    frequent = classes[np.argsort(-counts, kind="stable")[:_MAX_CLASSES]]
    scored = classes[1:] if len(classes) == 2 else frequent
    indicators: NDArray[np.float64] = (target[:, None] == scored).astype(np.float64)
    return indicators


def _ranks(target: NDArray[np.int64] | NDArray[np.float32]) -> NDArray[np.float64]:
    """Ranks, the mean rank where values are equal. [n, 1]"""
    _, place, counts = np.unique(target, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - counts / 2)[place]
    return ranks[:, None]


def _halves(
    target: NDArray[np.int64] | NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Cut the rows into halves of alike targets at random."""
    half = np.empty(len(target), np.bool_)
    half[np.lexsort((generator.random(len(target)), target))] = np.arange(len(target)) % 2 == 1
    return half


def _bins(column: Column, n_bins: int) -> pl.Expr:
    """The number of each value's bin, from 1; 0 where it is missing."""
    import polars as pl

    values = pl.col(column.name)
    if column.type in ("category", "boolean"):
        bins = values.cast(pl.String).rank("dense")
    else:
        values = values.to_physical().cast(pl.Float64).fill_nan(None)
        if column.n_unique <= n_bins:
            bins = values.rank("dense")
        else:
            bins = ((values.rank("average") - 0.5) / values.count() * n_bins).floor() + 1
    return bins.fill_null(0).cast(pl.Int64)


def _predict(
    bins: NDArray[np.int64], wanted: NDArray[np.float64], half: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The mean of what is wanted over the rows of the same bin in the other half. [n, c]"""
    predicted = np.empty_like(wanted)
    n_bins = int(bins.max()) + 1
    for fitted in (half, ~half):
        prior = wanted[fitted].mean(0)
        counts = np.bincount(bins[fitted], minlength=n_bins) + _PRIOR_ROWS
        for c, column in enumerate(wanted.T):
            sums = np.bincount(bins[fitted], column[fitted], minlength=n_bins)
            means = (sums + _PRIOR_ROWS * prior[c]) / counts
            predicted[~fitted, c] = means[bins[~fitted]]
    return predicted


def _auc(predicted: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """The mean over classes of the area under the ROC curve, equal scores counted half."""
    areas = []
    for score, positive in zip(predicted.T, wanted.T, strict=True):
        _, place = np.unique(score, return_inverse=True)
        hits = np.bincount(place, positive)
        misses = np.bincount(place) - hits
        areas.append((hits @ (np.cumsum(misses) - misses / 2)) / (hits.sum() * misses.sum()))
    return float(np.mean(areas))


def _r2(predicted: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """The share of the variance that is explained."""
    return float(1 - ((wanted - predicted) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum())


def _best_of_noise(wanted: NDArray[np.float64], n_columns: int) -> float:
    """The AUC that the best of `n_columns` columns of noise stays below, but for `_CHANCE`.

    Without a relation the AUC of P against N rows has the variance (P + N + 1) / (12 P N); the
    deviation of a mean over classes is at most the mean of theirs.
    """
    positive = wanted.sum(0)
    negative = len(wanted) - positive
    deviation = np.sqrt((len(wanted) + 1) / (12 * positive * negative)).mean()
    return 0.5 + NormalDist().inv_cdf(1 - _CHANCE / n_columns) * float(deviation)

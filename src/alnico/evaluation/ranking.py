"""Scores of a ranking, ROC AUC and average precision, under many row weights from one sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Scorer: TypeAlias = Callable[[Floats], Floats]
"""Row weights [b, n] -> one score for each of the b weightings; NaN where it is undefined."""


def roc_auc_scorer(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> Scorer:
    """The weighted share of (positive, negative) pairs ranked rightly; a tie counts half.

    Undefined where the positive or the negative rows weigh nothing.
    """
    curve = threshold_counts(positive, score)

    def score_of(weight: Floats) -> Floats:
        hits, misses = curve(weight)
        new_misses = np.diff(misses, axis=1, prepend=0.0)
        before_or_level = hits - np.diff(hits, axis=1, prepend=0.0) / 2
        area = (new_misses * before_or_level).sum(axis=1)
        return divide(area, hits[:, -1] * misses[:, -1])

    return score_of


def average_precision_scorer(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> Scorer:
    """The mean precision over the positive rows, each at its own threshold.

    Undefined where the positive rows weigh nothing.
    """
    curve = threshold_counts(positive, score)

    def score_of(weight: Floats) -> Floats:
        hits, misses = curve(weight)
        new_hits = np.diff(hits, axis=1, prepend=0.0)
        called = hits + misses
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        return divide((new_hits * precision).sum(axis=1), hits[:, -1])

    return score_of


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Entry by entry; NaN, without a warning, where the denominator is 0."""
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator != 0)


def threshold_counts(
    positive: NDArray[np.bool_], score: NDArray[np.floating]
) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Weights [b, n] -> weight of positives, of negatives at or above each threshold. [b, t] each

    Thresholds are the distinct scores, the highest first.
    """
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    is_hit = positive[order]

    def counts(weight: Floats) -> tuple[Floats, Floats]:
        ranked = weight[:, order]
        hits = np.cumsum(np.where(is_hit, ranked, 0.0), axis=1)
        misses = np.cumsum(np.where(is_hit, 0.0, ranked), axis=1)
        return hits[:, last_of_ties], misses[:, last_of_ties]

    return counts

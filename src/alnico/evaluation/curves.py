"""The points that a report draws: ROC, precision and recall, reliability, and a Pareto front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alnico.errors import DataError
from alnico.evaluation.ranking import Floats, threshold_counts


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of a curve, in the order in which they are joined.

    Args:
        x: [p]
        y: [p]
    """

    x: Floats
    y: Floats


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often what was forecast came true, in groups of rows of similar forecasts.

    Args:
        forecast: The mean forecast of each group. [b]
        observed: The share of its rows in which it came true. [b]
        low: The lower end of that share's 95 % interval (Wilson, 1927). [b]
        high: Its upper end. [b]
        count: The rows of each group. [b]
    """

    forecast: Floats
    observed: Floats
    low: Floats
    high: Floats
    count: NDArray[np.intp]


def roc(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> Curve:
    """The ROC curve: at every threshold, which share of both classes lies at or above it.

    Args:
        positive: Which rows are of the positive class. [n]
        score: Higher means likelier. [n]

    Returns:
        x: the share of the negative rows, y: of the positive rows; from (0, 0) to (1, 1).

    Raises:
        DataError: If one of the classes has no rows.
    """
    hits, misses = _counts(positive, score)
    if hits[-1] == 0 or misses[-1] == 0:
        raise DataError("a ROC curve needs rows of both classes")
    return Curve(
        np.append(0.0, misses / misses[-1]),
        np.append(0.0, hits / hits[-1]),
    )


def precision_recall(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> Curve:
    """The precision-recall curve: what is found, and how much of it is right, at every threshold.

    Args:
        positive: Which rows are of the positive class. [n]
        score: Higher means likelier. [n]

    Returns:
        x: recall, from the highest threshold to the lowest, y: precision.

    Raises:
        DataError: If the positive class has no rows.
    """
    hits, misses = _counts(positive, score)
    if hits[-1] == 0:
        raise DataError("a precision-recall curve needs rows of the positive class")
    return Curve(hits / hits[-1], hits / (hits + misses))


def thin(curve: Curve, n_points: int) -> Curve:
    """A curve with fewer of its points, spread evenly along its length; both ends stay.

    Args:
        curve: The curve.
        n_points: At most so many, at least 2.
    """
    if len(curve.x) <= n_points:
        return curve
    steps = np.abs(np.diff(curve.x)) + np.abs(np.diff(curve.y))
    travelled = np.append(0.0, np.cumsum(steps))
    wanted = np.linspace(0.0, travelled[-1], n_points)
    kept = np.unique(np.searchsorted(travelled, wanted))
    kept[-1] = len(curve.x) - 1
    return Curve(curve.x[kept], curve.y[kept])


def reliability(
    came_true: NDArray[np.bool_], forecast: NDArray[np.floating], *, n_groups: int = 10
) -> Reliability:
    """Hold forecasts against what happened, in groups of equally many rows.

    Rows of one forecast stay in one group, so there can be fewer groups than asked for.

    Args:
        came_true: Whether what was forecast happened. [n]
        forecast: Its forecast probability. [n]
        n_groups: How many groups.

    Raises:
        DataError: If there are no rows.
    """
    if len(forecast) == 0:
        raise DataError("reliability needs at least one row")
    edges = np.unique(np.quantile(forecast, np.linspace(0.0, 1.0, n_groups + 1)))
    group = np.searchsorted(edges[1:-1], forecast)  # (edge before, edge after]
    _, group, count = np.unique(group, return_inverse=True, return_counts=True)
    mean = np.bincount(group, weights=forecast) / count
    share = np.bincount(group, weights=came_true) / count
    low, high = _wilson(share, count)
    return Reliability(mean, share, low, high, count)


def pareto_front(cost: Floats, score: Floats, *, greater_is_better: bool) -> list[int]:
    """Which points no other one beats: none is cheaper and as good, or as cheap and better.

    Args:
        cost: What each costs; less is better. [n]
        score: How good each is. [n]
        greater_is_better: Whether a higher score is better.

    Returns:
        Their indices, the cheapest first; of equal points the first one.
    """
    gain = score if greater_is_better else -score
    front: list[int] = []
    for i in np.lexsort((-gain, cost)):
        if not front or gain[i] > gain[front[-1]]:
            front.append(int(i))
    return front


def _counts(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """How many positive and negative rows lie at or above each threshold, highest first. [t]"""
    hits, misses = threshold_counts(positive, score)(np.ones((1, len(positive))))
    return hits[0], misses[0]


def _wilson(share: Floats, count: NDArray[np.intp]) -> tuple[Floats, Floats]:
    z = 1.959963984540054  # the normal distribution's 97.5 % quantile
    shrink = 1 + z**2 / count
    centre = (share + z**2 / (2 * count)) / shrink
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / shrink
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)

"""What a search may choose from: named dimensions, each a few options or an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from alnico.errors import RecipeError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value: TypeAlias = str | int | float | bool


@dataclass(frozen=True)
class Choice:
    """One of a few options without an order.

    Args:
        options: What may be chosen, each once.
    """

    options: tuple[Value, ...]


@dataclass(frozen=True)
class Between:
    """A number of a closed interval.

    Args:
        low: The least value.
        high: The greatest; not below `low`.
        log: Whether it is the ratio of two values that counts, as with learning rates.
        whole: Whether only whole numbers are meant.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False


Space: TypeAlias = Mapping[str, Choice | Between]
"""Name -> dimension."""


def check_space(space: Space) -> None:
    """Make sure that there is something to choose from.

    Raises:
        RecipeError: If the space is empty, or a dimension of it; all faults at once.
    """
    if not space:
        raise RecipeError("an empty search space: it has no dimensions", help="name what may vary")
    faults = [f"{name} {fault}" for name, one in space.items() if (fault := _fault(one))]
    if faults:
        raise RecipeError(
            "an empty search space: " + "; ".join(faults), help="give each at least one value"
        )


def _fault(dimension: Choice | Between) -> str | None:
    if isinstance(dimension, Choice):
        return None if dimension.options else "has no options"
    low, high = dimension.low, dimension.high
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        return f"goes from {low:g} to {high:g}"
    if dimension.log and low <= 0:
        return f"begins at {low:g}, which has no logarithm"
    if dimension.whole and math.ceil(low) > math.floor(high):
        return f"holds no whole number between {low:g} and {high:g}"
    return None


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's words."""
    return {name: _distribution(dimension) for name, dimension in space.items()}


def _distribution(dimension: Choice | Between) -> BaseDistribution:
    from optuna import distributions as optuna

    if isinstance(dimension, Choice):
        return optuna.CategoricalDistribution(dimension.options)
    if dimension.whole:
        return optuna.IntDistribution(
            math.ceil(dimension.low), math.floor(dimension.high), log=dimension.log
        )
    return optuna.FloatDistribution(dimension.low, dimension.high, log=dimension.log)

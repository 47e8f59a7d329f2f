"""What models agree on, entry by entry, and sums of what they say, by weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.errors import RecipeError
from alnico.tensors import statistics

if TYPE_CHECKING:
    from torch import Tensor

CANCELLED = 1e-6
"""Weights whose sum is below this share of their magnitudes sum to 0 but for rounding."""


def elect_sign(votes: Tensor) -> Tensor:
    """The sign with the larger total magnitude per entry, +1 on a draw. [k, ...] -> [...]"""
    total = statistics.add(votes)
    return total.sign().where(total != 0, 1.0)


def agreement(votes: Tensor) -> Tensor:
    """Whether a model has the elected sign, per entry; 0 has no sign. [k, ...] -> [k, ...]"""
    return votes.sign() == elect_sign(votes)


def total_weight(weight: Tensor, *, instead: str = 'normalize="none"') -> Tensor:
    """The sum of the models' weights, to divide by.

    Args:
        weight: [k, 1, ...]
        instead: How the division is left out, for the message.

    Returns:
        [1, ...]

    Raises:
        RecipeError: If the weights sum to 0.
    """
    total = statistics.add(weight)
    if bool((total.abs() <= CANCELLED * weight.abs().sum(0)).any()):
        raise RecipeError(
            f"the weights sum to 0, got {weight.flatten().tolist()}",
            help=f"give weights with another sum, or {instead}",
        )
    return total


def weighted_sum(deltas: Tensor, weight: Tensor, normalize: str) -> Tensor:
    """The sum of the models' changes, each times its weight.

    `normalize="weights"` divides it by the sum of the weights; where all are 0 nothing changes.

    deltas: [k, ...], weight: [k, 1, ...] -> [...]

    Raises:
        RecipeError: If it is to be divided by weights that cancel.
    """
    total = statistics.add(deltas * weight)
    if normalize == "none" or not bool((weight != 0).any()):
        return total
    return total / total_weight(weight)


def agreeing_sum(deltas: Tensor, weight: Tensor, normalize: str) -> Tensor:
    """The sum per entry of the changes, times their weights, that have the elected sign there.

    `normalize="models"` divides it by the number of those that do, `"weights"` by the sum of their
    weights, unless they cancel. Where none agrees it is 0. NaN is not outvoted.

    deltas: [k, ...], weight: [k, 1, ...] -> [...]
    """
    votes = deltas * weight
    agrees = agreement(votes)
    total = statistics.add(votes * agrees)  # a product keeps NaN, where() would drop it
    if normalize == "none":
        return total
    if normalize == "models":
        return total / agrees.sum(0).clamp(min=1)
    mass = statistics.add(weight * agrees)
    return total / mass.where(mass.abs() > CANCELLED * weight.abs().sum(0), 1.0)

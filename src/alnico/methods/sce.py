"""SCE: select entries by variance, weigh models by their energy, erase minority signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import Fraction, Positive, method
from alnico.tensors import consensus, sparsify, statistics

if TYPE_CHECKING:
    from torch import Tensor


LEAST_MASS = 1e-6
"""Models' shares sum to 1; where those that agree have less than this, they count as having it."""


@method(paper="https://arxiv.org/abs/2408.07990", symmetric=True, idempotent=True)
def sce(deltas: Tensor, density: Fraction = 1.0, least_energy: Positive = 0.0) -> Tensor:
    """Average what has the elected sign, weighed by energy.

    deltas: [k, ...] -> [...]; with `d_i` the changes in the share `density` of the entries that
    vary most between models (of those that vary), and `w_i` the mean of `d_i^2` divided by its sum
    over models: the mean, weighed by `w_i`, of the `d_i` that have the sign of `sum_i d_i`. Models
    count alike where that sum is not above `least_energy`.
    """
    chosen = deltas if density == 1 else _most_varied(deltas, density)
    energy, n_entries = statistics.totals(chosen.square(), deltas == deltas)
    has_energy = (energy / n_entries.clamp(min=1)).sum() > least_energy
    share = energy.where(has_energy, 1.0)
    weight = statistics.column(share / share.sum(), deltas)
    agrees = consensus.agreement(chosen)
    mass = statistics.add(weight * agrees).clamp(min=LEAST_MASS)
    return statistics.add(chosen * weight * agrees) / mass


def _most_varied(deltas: Tensor, density: float) -> Tensor:
    """The changes where the variance between models is largest, 0 elsewhere. [k, ...]"""
    apart = deltas - statistics.add(deltas) / len(deltas)
    variance = statistics.add(apart.square()) / len(deltas) + 0.0 * deltas
    varying, level = statistics.totals(variance != 0, variance == 0)
    share = density * varying / (varying + level).clamp(min=1)
    selected = sparsify.keep_largest(variance, statistics.column(share, deltas))
    return deltas.where(selected != 0, 0.0)

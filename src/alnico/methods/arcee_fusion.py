"""Arcee Fusion: take over the changes that matter most, and leave the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alnico.methods._method import method

if TYPE_CHECKING:
    from torch import Tensor


SMALL = 1e-8
"""Added to each probability, so that every logarithm is finite."""

SAMPLE = 1 << 20
"""How many entries of a larger tensor, about, the quartiles are taken of."""


@method(paper="https://github.com/arcee-ai/mergekit", models=1, symmetric=True)
def arcee_fusion(deltas: Tensor, base: Tensor) -> Tensor:
    """Take over the changes that stand out by their importance.

    A change's importance is its magnitude times the divergence between the softmax of the model's
    and of the base's last axis; what lies 1.5 interquartile ranges above the median is taken over.

    deltas: [1, ...], base: [...] -> [...]
    """
    delta = deltas[0]
    if delta.numel() == 0:
        return delta
    model, start = ((x.softmax(-1) + SMALL) for x in (base + delta, base))
    divergence = (model * (model / start).log()).sum(-1, keepdim=delta.ndim > 0)
    importance = delta.abs() * divergence
    low, median, high = _quartiles(importance)
    return delta * (importance >= median + 1.5 * (high - low))


def _quartiles(values: Tensor) -> list[Tensor]:
    """The lower one of each two middle values, of entries evenly spaced. [...] -> [] three times"""
    step = values.numel() // SAMPLE + 1
    while math.gcd(step, values.shape[-1] if values.ndim else 1) > 1:
        step += 1  # so that every column has its part
    taken = values.flatten()[::step]
    return [taken.kthvalue(int(q * (len(taken) - 1)) + 1).values for q in (0.25, 0.5, 0.75)]

"""A merge method of one's own: `alnico merge ... --plugin robust_mean.py --method robust_mean`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import alnico

if TYPE_CHECKING:
    from torch import Tensor


@alnico.method(at_least=3, symmetric=True, idempotent=True)
def robust_mean(deltas: Tensor, scale: float = 1.0) -> Tensor:
    """Average changes, in each entry without the smallest and the largest.

    deltas: [k, ...] -> [...]; no single model, however far off, takes it beyond what others say.
    """
    smallest = largest = deltas[0]
    for delta in deltas:
        smallest, largest = smallest.minimum(delta), largest.maximum(delta)
    return (deltas.sum(0) - smallest - largest) / (len(deltas) - 2) * scale

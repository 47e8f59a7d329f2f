"""RAM: in each entry the average over the models that changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import Positive, method
from alnico.tensors import statistics

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2601.13572", symmetric=True, idempotent=True)
def ram(deltas: Tensor, epsilon: Positive = 1e-5) -> Tensor:
    """Average each entry over the models that changed it.

    deltas: [k, ...] -> [...]; the mean of the `delta_i` whose magnitude is above `epsilon`
    """
    changed = deltas.abs() > epsilon
    return statistics.add(deltas * changed) / changed.sum(0).clamp(min=1)

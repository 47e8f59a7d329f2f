"""Task arithmetic: what each model learned is a vector, and vectors can be added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from alnico.methods._method import method, per_model
from alnico.tensors import consensus

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2212.04089", symmetric=True)
def task_arithmetic(
    deltas: Tensor,
    weight: Tensor = per_model(1.0),
    scale: float = 1.0,
    normalize: Literal["none", "weights"] = "none",
) -> Tensor:
    """Add what each model learned to the base, or take it away.

    deltas: [k, ...], weight: [k, 1, ...] -> [...]; `scale * sum_i weight_i delta_i`, divided by
    `sum_i weight_i` if it is normalized by weights
    """
    return consensus.weighted_sum(deltas, weight, normalize) * scale

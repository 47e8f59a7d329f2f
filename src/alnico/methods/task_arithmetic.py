"""Task arithmetic: what each model learned is a vector, and vectors can be added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import method, per_model

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2212.04089", symmetric=True)
def task_arithmetic(deltas: Tensor, weight: Tensor = per_model(1.0), scale: float = 1.0) -> Tensor:
    """Add what each model learned to the base, or take it away.

    deltas: [k, ...], weight: [k, 1, ...] -> [...]; `scale * sum_i weight_i delta_i`
    """
    return (deltas * weight).sum(0) * scale

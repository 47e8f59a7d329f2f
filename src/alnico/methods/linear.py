"""The weighted average of models: a uniform soup, or one whose weights something else chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import method, per_model
from alnico.tensors import consensus, statistics

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2203.05482", symmetric=True, idempotent=True)
def linear(weights: Tensor, weight: Tensor = per_model(1.0), normalize: bool = True) -> Tensor:
    """Average the models, each with its weight.

    weights: [k, ...], weight: [k, 1, ...] -> [...]; `sum_i weight_i weights_i / sum_i weight_i`,
    or the sum alone where `normalize` is off.
    """
    total = statistics.add(weights * weight)
    if not normalize:
        return total
    return total / consensus.total_weight(weight, instead="normalize=False")

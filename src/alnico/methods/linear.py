"""The weighted average of models: a uniform soup, or one whose weights something else chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.errors import RecipeError
from alnico.methods._method import method, per_model

if TYPE_CHECKING:
    from torch import Tensor


@method(paper="https://arxiv.org/abs/2203.05482", symmetric=True, idempotent=True)
def linear(weights: Tensor, weight: Tensor = per_model(1.0), normalize: bool = True) -> Tensor:
    """Average the models, each with its weight.

    weights: [k, ...], weight: [k, 1, ...] -> [...]; `sum_i weight_i weights_i / sum_i weight_i`,
    or the sum alone where `normalize` is off.
    """
    total = (weights * weight).sum(0)
    if not normalize:
        return total
    mass = weight.sum(0)
    if mass.abs().sum() <= 1e-6 * weight.abs().sum():
        raise RecipeError(
            f"linear: the weights sum to 0, got {weight.flatten().tolist()}",
            help="give weights with another sum, or normalize=False",
        )
    return total / mass

"""Spherical linear interpolation of two models, tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import Fraction, method
from alnico.tensors import interpolate, statistics

if TYPE_CHECKING:
    from torch import Tensor


@method(
    paper="https://dl.acm.org/doi/10.1145/325334.325242",
    models=2,
    symmetric=True,
    idempotent=True,
)
def slerp(weights: Tensor, t: Fraction = 0.5) -> Tensor:
    """Go from one model to the other along an arc.

    weights: [2, ...] -> [...]; each tensor is one vector, w the angle between the two:
    `sin((1 - t) w) / sin(w) weights_1 + sin(t w) / sin(w) weights_2`
    """
    products = statistics.gram(weights)
    cosine = interpolate.cosine(products[0, 1], products[0, 0], products[1, 1])
    first, second = interpolate.spherical(cosine, t)
    dtype = weights.dtype
    return weights[0] * first.to(dtype) + weights[1] * second.to(dtype)

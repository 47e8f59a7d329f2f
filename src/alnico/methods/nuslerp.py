"""Spherical interpolation of two models by their weights, of tensors, rows or columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import method, per_model
from alnico.tensors import consensus, interpolate, statistics

if TYPE_CHECKING:
    from torch import Tensor


STRAIGHT = 1 - 1e-12
"""The cosine beyond which the way is straight: float32 tells such directions apart no more."""


@method(
    paper="https://dl.acm.org/doi/10.1145/325334.325242",
    models=2,
    symmetric=True,
    idempotent=True,
)
def nuslerp(
    vectors: Tensor,
    weight: Tensor = per_model(1.0),
    row_wise: bool = False,
    flatten: bool = True,
) -> Tensor:
    """Go from one model to the other on an arc, by weights.

    With a base, the arc is that of the changes from it. `flatten=False` turns each vector along the
    last axis by itself; or, with `row_wise`, each along the first.

    vectors: [2, ...], weight: [2, 1, ...] -> [...]; as `slerp` with
    `t = weight_2 / (weight_1 + weight_2)`
    """
    share = weight / consensus.total_weight(weight, instead="merge with slerp")
    if flatten or vectors.ndim == 1:
        products = statistics.gram(vectors)
        cosine = interpolate.cosine(products[0, 1], products[0, 0], products[1, 1])
    else:
        a, b = vectors.double()
        axis = 0 if row_wise else -1
        ab, aa, bb = ((x * y).sum(axis, keepdim=True) for x, y in ((a, b), (a, a), (b, b)))
        cosine = interpolate.cosine(ab, aa, bb)
    t = share[1].flatten()[0].to(cosine.dtype)
    first, second = interpolate.spherical(cosine, t, straight=STRAIGHT)
    return vectors[0] * first.to(vectors.dtype) + vectors[1] * second.to(vectors.dtype)

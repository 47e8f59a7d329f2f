"""Spherical averaging of any number of models: their mean direction, at their mean length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import Positive, method, per_model
from alnico.tensors import consensus, interpolate, statistics

if TYPE_CHECKING:
    from torch import Tensor


@method(
    paper="https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    symmetric=True,
    idempotent=True,
)
def multislerp(
    vectors: Tensor,
    weight: Tensor = per_model(1.0),
    normalize: bool = True,
    epsilon: Positive = 1e-6,
) -> Tensor:
    """Average the models' directions and their lengths apart.

    With a base, those of the changes from it. Directions that cancel, of which the mean is shorter
    than `epsilon` times the sum of the weights' magnitudes, are joined by a straight average.

    vectors: [k, ...], weight: [k, 1, ...] -> [...]; with `u_i = vectors_i / |vectors_i|` and
    weights that sum to 1, `m / |m| sum_i weight_i |vectors_i|` where `m = sum_i weight_i u_i`
    """
    if normalize:
        weight = weight / consensus.total_weight(weight, instead="normalize=False")
    products = statistics.gram(vectors)
    share = weight.flatten().to(products.dtype)
    length = products.diagonal().sqrt()
    square = share @ interpolate.cosines(products) @ share
    is_directed = square > (epsilon * share.abs().sum()).square()
    radius = (share * length).sum() / square.where(is_directed, 1.0).sqrt()
    turned = share / length.where(length != 0, 1.0) * radius
    return statistics.add(vectors * statistics.column(turned.where(is_directed, share), vectors))

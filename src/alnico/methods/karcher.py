"""The Karcher mean of models on a sphere, the point with the least squared angles to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from alnico.methods._method import Positive, Range, method
from alnico.tensors import interpolate, statistics

if TYPE_CHECKING:
    from torch import Tensor


NO_ARC = 1e-8
"""Below this sine two directions are equal or opposite, and no arc leads from one to the other."""


@method(paper="https://doi.org/10.1002/cpa.3160300502", symmetric=True, idempotent=True)
def karcher(
    weights: Tensor,
    max_iter: Annotated[int, Range(0, math.inf)] = 10,
    tolerance: Positive = 1e-5,
) -> Tensor:
    """Average the models' directions along arcs, and lengths.

    It starts at the mean direction and goes along the mean of the tangents towards the models,
    until that is shorter than `tolerance`. Directions that cancel, of which the mean is not longer
    than that, are averaged straight.

    weights: [k, ...] -> [...]; the direction with the least sum of squared angles to the
    `weights_i`, times the mean of their lengths
    """
    products = statistics.gram(weights)
    length = products.diagonal().sqrt()
    cosines = interpolate.cosines(products)
    present = cosines.diagonal()  # 0 where a tensor is all zero, and has no direction
    share = present / present.sum().clamp(min=1)
    start = (share @ cosines @ share).sqrt()
    if not bool(start > tolerance):
        return statistics.add(weights) / len(weights)
    place = _descend(cosines, share, share / start, max_iter, tolerance)
    coefficients = place / length.where(length != 0, 1.0) * length.mean()
    return statistics.add(weights * statistics.column(coefficients, weights))


def _descend(
    cosines: Tensor, share: Tensor, place: Tensor, max_iter: int, tolerance: float
) -> Tensor:
    """The mean of unit vectors, as coefficients of them, from a first place.

    cosines: [k, k], share, place: [k] -> [k]
    """
    for _ in range(max_iter):
        towards = (cosines @ place).clamp(min=-1.0, max=1.0)
        angle = towards.acos()
        sine = angle.sin()
        pull = share * (angle / sine).where(sine > NO_ARC, 1.0)
        step = pull - place * (pull * towards).sum()
        size = (step @ cosines @ step).clamp(min=0).sqrt()
        if bool(size < tolerance):
            break
        place = place * size.cos() + step * (size.sin() / size)
        place = place / (place @ cosines @ place).sqrt()
    return place

"""Coefficients of the ways between tensors, from their inner products."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

STRAIGHT = 0.9995
"""Directions whose cosine is beyond this count as one; the arc between them is hardly bent."""


def spherical(
    cosine: Tensor, t: float | Tensor, *, straight: float = STRAIGHT
) -> tuple[Tensor, Tensor]:
    """The coefficients of two tensors on the arc between their directions (Shoemake 1985).

    With the angle w: `sin((1 - t) w) / sin w` and `sin(t w) / sin w`. Nearly equal or opposite
    directions, and a tensor without direction (cosine NaN), are joined by a straight line: `1 - t`
    and `t`.

    Args:
        cosine: Of the angle between the two.
        t: Where on the way: 0 is the first, 1 the second.
        straight: The magnitude of a cosine beyond which the way is straight.

    Returns:
        The coefficients of the first and the second, as `cosine` is shaped.
    """
    bent = cosine.abs() <= straight
    angle = cosine.where(bent, 0.0).acos()
    first, second = ((share * angle).sin() / angle.sin() for share in (1 - t, t))
    return first.where(bent, 1 - t), second.where(bent, t)


def cosine(ab: Tensor, aa: Tensor, bb: Tensor) -> Tensor:
    """The cosine of the angle between a and b, from their inner products; NaN where one is 0."""
    return ab / (aa.sqrt() * bb.sqrt())


def cosines(products: Tensor) -> Tensor:
    """The cosine of the angle between each two tensors; 0 where one is all zero.

    products: [k, k], as `statistics.gram` gives them -> [k, k]
    """
    length = products.diagonal().sqrt()
    divisor = length.where(length != 0, 1.0)
    return (products / (divisor[..., None] * divisor)).clamp(min=-1.0, max=1.0)

"""Coefficients of the ways from one tensor to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

STRAIGHT = 0.9995
"""Directions whose cosine is beyond this count as one; the arc between them is hardly bent."""


def spherical(cosine: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """The coefficients of two tensors on the arc between their directions (Shoemake 1985).

    With the angle w: `sin((1 - t) w) / sin w` and `sin(t w) / sin w`. Nearly equal or opposite
    directions, and a tensor without direction (cosine NaN), are joined by a straight line: `1 - t`
    and `t`.

    Args:
        cosine: Of the angle between the two. []
        t: Where on the way: 0 is the first, 1 the second.

    Returns:
        The coefficients of the first and the second. [] each
    """
    bent = cosine.abs() <= STRAIGHT
    angle = cosine.where(bent, 0.0).acos()
    first, second = ((share * angle).sin() / angle.sin() for share in (1 - t, t))
    return first.where(bent, 1 - t), second.where(bent, t)

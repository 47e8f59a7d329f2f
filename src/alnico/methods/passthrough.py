"""One model as it is, or times a number; layers of several models are stacked with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alnico.methods._method import method

if TYPE_CHECKING:
    from torch import Tensor


@method(models=1, symmetric=True, idempotent=True)
def passthrough(weights: Tensor, scale: float = 1.0) -> Tensor:
    """Take one model's weights as they are, or scaled.

    weights: [1, ...] -> [...]; `scale * weights_1`
    """
    return weights[0] * scale

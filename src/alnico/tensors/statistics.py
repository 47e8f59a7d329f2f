"""What is measured on a whole tensor of every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 1 << 18


def gram(stack: Tensor) -> Tensor:
    """The inner products of the models' tensors, each read as one vector, in float64.

    Summed block by block, so that no float64 copy of the whole is made.

    stack: [k, ...] -> [k, k]
    """
    first, *others = stack.unsqueeze(-1).flatten(1).split(_BLOCK, dim=1)
    products = _products(first)
    for block in others:
        products = products + _products(block)
    return products


def _products(block: Tensor) -> Tensor:
    exact = block.double()
    return exact @ exact.mT

"""What is measured on a whole tensor of every model, and sums over models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from alnico.tensors.small import Small
from alnico.tensors.traced import Traced

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 1 << 18
"""How many entries are summed up in float64 at once."""


def gram(stack: Tensor) -> Tensor:
    """The inner products of the models' tensors, each read as one vector, in float64.

    Summed block by block, so that no float64 copy of the whole is made.

    stack: [k, ...] -> [k, k]
    """
    if isinstance(stack, Traced):
        return cast("Tensor", Small(cast(Traced, stack).ask("gram")))
    first, *others = stack.unsqueeze(-1).flatten(1).split(BLOCK, dim=1)
    products = _products(first)
    for block in others:
        products = products + _products(block)
    return products


def totals(*stacks: Tensor) -> Sequence[Tensor]:
    """The sum of each model's whole tensor, in float64; of several stacks in one pass.

    stacks: [k, ...] each -> [k] each
    """
    if isinstance(stacks[0], Traced):
        first, *others = [cast(Traced, stack) for stack in stacks]
        return [cast("Tensor", Small(row)) for row in first.ask("totals", others)]
    return [_total(stack) for stack in stacks]


def total(stack: Tensor) -> Tensor:
    """The sum of each model's whole tensor, in float64. [k, ...] -> [k]"""
    return totals(stack)[0]


def column(values: Tensor, stack: Tensor) -> Tensor:
    """One value for each model, in a form and precision that multiplies the stack.

    values: [k], stack: [k, ...] -> [k, 1, ...]
    """
    if isinstance(stack, Traced):
        return values.to(stack.dtype)
    return values.to(stack.dtype).reshape(-1, *[1] * (stack.ndim - 1))


def add(values: Tensor) -> Tensor:
    """The sum over models, in their order. [k, ...] -> [...]

    `values.sum(0)` adds up in an order that depends on where in the tensor an entry lies.
    """
    found = values[0]
    for model in range(1, len(values)):
        found = found + values[model]
    return found


def _products(block: Tensor) -> Tensor:
    exact: Tensor = block.double()
    return exact @ exact.mT


def _total(stack: Tensor) -> Tensor:
    first, *others = stack.unsqueeze(-1).flatten(1).split(BLOCK, dim=1)
    found: Tensor = first.double().sum(1)
    for block in others:
        found = found + block.double().sum(1)
    return found

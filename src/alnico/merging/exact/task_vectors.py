"""Task arithmetic and its seven kin: sparsify the models' changes from a base, and add them up.

They differ in which entries of a change stay, and in whether signs are put to a vote. The paper's
rules differ from these; `alnico.methods` has those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from alnico.merging.exact.consensus import agreeing
from alnico.merging.exact.inputs import Parameters, Tensors, based, flag, number, numbers
from alnico.merging.exact.sparsify import largest, middle, random, ranked

if TYPE_CHECKING:
    from torch import Tensor

Keep: TypeAlias = "Callable[[Tensor, float, float, bool], Tensor]"
"""One of the rules of `sparsify`."""


def task_arithmetic(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Add up the changes: `base + lambda * sum_i weight_i delta_i`. [...]; `density` is unused."""
    start = based("task_arithmetic", base)
    return _add([x - start for x in tensors], start, parameters, vote=False)


def ties(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Keep each model's largest changes, and add up those with the elected sign. [...]"""
    start = based("ties", base)
    return _add(_sparse(tensors, start, parameters, largest), start, parameters, vote=True)


def dare_linear(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Keep changes at random, and add them up. [...]"""
    start = based("dare_linear", base)
    return _add(_sparse(tensors, start, parameters, random), start, parameters, vote=False)


def dare_ties(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Keep changes at random, and add up those with the elected sign. [...]"""
    start = based("dare_ties", base)
    return _add(_sparse(tensors, start, parameters, random), start, parameters, vote=True)


def breadcrumbs(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Drop the very largest and the small changes, and add up those between. [...]"""
    start = based("breadcrumbs", base)
    kept = _sparse(tensors, start, parameters, middle, "gamma")
    return _add(kept, start, parameters, vote=False)


def breadcrumbs_ties(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Drop the very largest and the small changes, and add up those with the elected sign. [...]"""
    start = based("breadcrumbs_ties", base)
    kept = _sparse(tensors, start, parameters, middle, "gamma")
    return _add(kept, start, parameters, vote=True)


def della_linear(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Keep changes at random, large ones more likely, and add them up. [...]"""
    start = based("della_linear", base)
    kept = _sparse(tensors, start, parameters, ranked, "epsilon")
    return _add(kept, start, parameters, vote=False)


def della(tensors: Tensors, base: Tensor | None, parameters: Parameters) -> Tensor:
    """Keep changes at random, large ones more likely; add up those with the elected sign. [...]"""
    start = based("della", base)
    kept = _sparse(tensors, start, parameters, ranked, "epsilon")
    return _add(kept, start, parameters, vote=True)


def _sparse(
    tensors: Tensors, base: Tensor, parameters: Parameters, keep: Keep, extra: str | None = None
) -> list[Tensor]:
    """Every model's change from the base, sparsified; `extra` is the rule's other parameter."""
    rescale = flag(parameters, "rescale")
    densities = numbers(parameters, "density", tensors)
    extras = numbers(parameters, extra, tensors) if extra else [0.0] * len(tensors)
    settings = zip(tensors, densities, extras, strict=True)
    return [keep(x - base, density, other, rescale) for x, density, other in settings]


def _add(deltas: list[Tensor], base: Tensor, parameters: Parameters, *, vote: bool) -> Tensor:
    """The base and the weighted sum of changes; of those with the elected sign, if there's a vote.

    `normalize` divides by the sum of the weights that were counted, entry by entry after a vote.
    """
    import torch

    if not deltas:
        return base
    weight = base.new_tensor(numbers(parameters, "weight", deltas))
    weight = weight.reshape([-1] + [1] * base.ndim)
    changes = torch.stack(deltas).mul_(weight)
    if vote:
        counted = agreeing(changes, int8_mask=flag(parameters, "int8_mask"))
        total = (changes * counted).sum(0)
    else:
        total = changes.sum(0)
    if flag(parameters, "normalize"):
        if vote:
            weights = (weight * counted).sum(0)
            none = weights == 0
        else:
            weights = weight.sum(0)
            none = weights.abs() < 1e-8
        total /= weights.masked_fill(none, 1)
    scale = number(parameters, "lambda")
    if scale != 1:
        total *= scale
    return base + total

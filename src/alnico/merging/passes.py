"""The merge itself: tensor by tensor, in float32, deltas off the base and on again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from alnico.errors import AlnicoError, IncompatibleModelsError
from alnico.merging.plan import Plan, some
from alnico.merging.plugin import explain, file_of
from alnico.types import StateDict

COUNTER = "num_batches_tracked"
"""How often BatchNorm has seen a batch: differs between models that are otherwise alike."""


@dataclass
class Merged:
    """Merged tensors, and what became of each.

    Args:
        tensors: New tensors, under the names and in the dtypes of the models.
        counters: The names of those counters that differed: the largest was taken.
    """

    tensors: StateDict = field(default_factory=dict)
    counters: list[str] = field(default_factory=list)

    def fates(self) -> dict[str, list[str]]:
        """Fate -> names of tensors, each tensor once."""
        merged = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
        largest = sorted(self.counters)
        apart = {*merged, *largest}
        copied = [name for name in self.tensors if name not in apart]
        return {"merged": sorted(merged), "copied": sorted(copied), "largest": largest}


def run(
    plan: Plan, states: Sequence[Mapping[str, Tensor]], base: Mapping[str, Tensor] | None
) -> Merged:
    """Merge tensors of models that a plan was made for.

    Args:
        plan: What to do.
        states: Of each model, all its tensors or those of some names.
        base: The base's, of the same names.

    Raises:
        IncompatibleModelsError: If tensors that have no mean differ, or values are not finite
            where those of the models are.
    """
    _check_exact(plan, [*states, base] if base is not None else states)
    done = Merged()
    for name, first in states[0].items():
        tensors = [state[name].detach().to(first.device) for state in states]
        if plan.forms[name].has_mean:
            root = None if base is None else base[name].detach().to(first.device)
            done.tensors[name] = _merge_one(plan, name, tensors, root)
        elif _is_counter(name) and not _are_equal(tensors):
            done.tensors[name] = torch.stack(tensors).amax(0)
            done.counters.append(name)
        else:
            done.tensors[name] = tensors[0].clone()
    return done


def _merge_one(plan: Plan, name: str, tensors: Sequence[Tensor], base: Tensor | None) -> Tensor:
    dtype = tensors[0].dtype
    compute = torch.promote_types(dtype, torch.float32) if dtype.itemsize > 1 else torch.float32
    stack = torch.stack([tensor.to(compute) for tensor in tensors])
    root = None if base is None else base.to(compute)
    found = _apply(plan, name, stack if root is None else stack - root)
    merged = (found if root is None else found + root).to(dtype)
    finite = merged.to(compute).isfinite()
    if not finite.all():
        given = stack if root is None else torch.cat([stack, root[None]])
        bad = int((given.isfinite().all(0) & ~finite).sum())
        if bad:
            raise IncompatibleModelsError(
                f"{plan.method.name} makes {bad} values of {name} NaN or infinite in {dtype}",
                help="the models' values are finite: check the weights that they are given",
            )
    return merged


def _apply(plan: Plan, name: str, stack: Tensor) -> Tensor:
    """What the method makes of a stack; an error in somebody's own method is said to be there."""
    try:
        found = plan.method(stack, **plan.parameters)
    except Exception as error:
        file = file_of(plan.method)
        if file is None or isinstance(error, AlnicoError):
            raise
        help = f"{plan.method.name} raised it on {name} {list(stack.shape[1:])}"
        raise explain(file, error, help=help) from error
    shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != list(stack.shape[1:]):
        raise IncompatibleModelsError(
            f"{plan.method.name} made {shape} of {name}, which is {list(stack.shape[1:])}",
            help="a method takes [k, ...] and gives [...]: correct the method",
        )
    return found


def _check_exact(plan: Plan, models: Sequence[Mapping[str, Tensor]]) -> None:
    """Refuse tensors without a mean that differ, other than counters."""
    differing = [
        name
        for name in models[0]
        if not plan.forms[name].has_mean
        and not _is_counter(name)
        and not _are_equal([model[name] for model in models])
    ]
    if differing:
        raise IncompatibleModelsError(
            f"integer tensors differ between the models: {some(differing)}",
            help="counters and index buffers have no mean; set them equal before merging",
        )


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == COUNTER


def _are_equal(tensors: Sequence[Tensor]) -> bool:
    first, *others = tensors
    return all(torch.equal(first, other.to(first.device)) for other in others)

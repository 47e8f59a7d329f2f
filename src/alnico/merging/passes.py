"""A plan carried out on state dicts in memory: tensor by tensor, in torch, with gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from alnico.checkpoint.reader import DTYPES
from alnico.errors import IncompatibleModelsError
from alnico.merging.alike import some
from alnico.merging.steps import Plan, Step
from alnico.merging.whole import play
from alnico.methods import Method
from alnico.tensors import noise
from alnico.types import StateDict


@dataclass
class Merged:
    """Merged tensors, and what became of some.

    Args:
        tensors: New tensors, under the names of the plan and in its dtypes.
        counters: The names of those counters that differed: the largest was taken.
    """

    tensors: StateDict = field(default_factory=dict)
    counters: list[str] = field(default_factory=list)


def run(plan: Plan, states: Sequence[Mapping[str, Tensor]]) -> Merged:
    """Merge the tensors of models that a plan was made for.

    Args:
        plan: What to do.
        states: Of each of its models, all tensors.

    Raises:
        IncompatibleModelsError: If tensors that have no mean differ, or values are not finite
            where those of the models are.
    """
    _check_exact(plan, states)
    done = Merged()
    for step in plan.steps:
        device = states[0][step.name].device
        tensors = [states[each.model][each.name].detach().to(device) for each in step.inputs]
        if step.rule == "merge":
            base = step.base
            root = None if base is None else states[base.model][base.name].detach().to(device)
            with noise.keyed(plan.seed, step.name):
                done.tensors[step.name] = _merge_one(step, tensors, root)
        elif step.rule == "largest" and not _are_equal(tensors):
            done.tensors[step.name] = torch.stack(tensors).amax(0)
            done.counters.append(step.name)
        else:
            done.tensors[step.name] = tensors[0].to(DTYPES[step.form.dtype], copy=True)
    return done


def _merge_one(step: Step, tensors: Sequence[Tensor], base: Tensor | None) -> Tensor:
    assert isinstance(step.method, Method)
    found = play(step.method, step.parameters, tensors, base, name=step.name)
    merged = found.to(DTYPES[step.form.dtype])
    finite = _is_finite(merged)
    if not finite.all():
        given = [*tensors, *([] if base is None else [base])]
        fine = torch.stack([_is_finite(tensor) for tensor in given]).all(0)
        bad = int((fine & ~finite).sum())
        if bad:
            raise IncompatibleModelsError(
                f"{step.method.name} makes {bad} values of {step.name} NaN or infinite in "
                f"{merged.dtype}",
                help="the models' values are finite: check the weights that they are given",
            )
    return merged


def _is_finite(tensor: Tensor) -> Tensor:
    return tensor.float().isfinite() if tensor.dtype.itemsize == 1 else tensor.isfinite()


def _check_exact(plan: Plan, states: Sequence[Mapping[str, Tensor]]) -> None:
    """Refuse tensors without a mean that differ, other than counters."""
    differing = [
        step.name
        for step in plan.steps
        if step.rule == "equal"
        and not _are_equal([states[each.model][each.name] for each in step.inputs])
    ]
    if differing:
        raise IncompatibleModelsError(
            f"integer tensors differ between the models: {some(differing)}",
            help="counters and index buffers have no mean; set them equal before merging",
        )


def _are_equal(tensors: Sequence[Tensor]) -> bool:
    first, *others = tensors
    return all(torch.equal(first, other.to(first.device)) for other in others)

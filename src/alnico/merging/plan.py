"""What a merge is going to do, from names, shapes and dtypes alone: no tensor is read for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.methods import Method, methods
from alnico.methods._method import Value

SHOWN = 6
"""How many tensors a message names."""

WAYS_OUT = """\
merging needs one architecture and equal widths
keep both   alnico.fuse([a, b], "average")
teach one   alnico.distill(teacher, student, data=...)"""


@dataclass(frozen=True)
class Form:
    """What a tensor is, apart from its values."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def has_mean(self) -> bool:
        """Whether it can be merged; integers, booleans and complex numbers are copied."""
        return self.dtype.is_floating_point

    @property
    def n_bytes(self) -> int:
        """How much memory its values take."""
        return math.prod(self.shape) * self.dtype.itemsize


Forms: TypeAlias = Mapping[str, Form]


@dataclass(frozen=True)
class Plan:
    """A merge in which nothing is left to be checked but the values of tensors.

    Args:
        method: The merge method.
        parameters: All of the method's, defaults included.
        forms: The tensors of every model, and of the result.
    """

    method: Method
    parameters: Mapping[str, Value]
    forms: Forms


def make_plan(
    models: Sequence[tuple[str, Forms]],
    method: str | Method,
    parameters: Mapping[str, Value],
    *,
    base: tuple[str, Forms] | None = None,
) -> Plan:
    """Check that models can be merged in this way.

    Args:
        models: What messages call each, and its tensors.
        method: A merge method, or its name.
        parameters: Of the method.
        base: The model that all came from.

    Raises:
        UnknownNameError: If there is no such method.
        RecipeError: If a parameter is wrong, or a base is missing or of no use.
        IncompatibleModelsError: If the models, or the base, differ in names, shapes or dtypes.
    """
    chosen = methods[method] if isinstance(method, str) else method
    if not models:
        raise RecipeError("there are no models to merge", help="give at least one")
    settings = chosen.check(len(models), dict(parameters))
    if chosen.sees == "deltas" and base is None:
        raise RecipeError(
            f"{chosen.name} merges changes from a base, and there is none",
            help="give the model that all came from as base",
        )
    if chosen.sees == "weights" and base is not None:
        raise RecipeError(f"{chosen.name} has no use for a base", help="leave it out")
    _check_forms([*models, base] if base else models)
    return Plan(chosen, settings, models[0][1])


def read_forms(label: str, state: Mapping[str, Tensor]) -> Forms:
    """The forms of a state dict's tensors.

    Raises:
        RecipeError: If something in it is not a tensor, or has no values yet.
    """
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise RecipeError(
                f"{label} holds {name!r}, which is no tensor but of type {type(tensor).__name__}",
                help="give the state dict alone, as module.state_dict() gives it",
            )
        if is_lazy(tensor) or tensor.is_meta:
            raise RecipeError(
                f"{name} of {label} has no values yet", help="load its weights, or run it once"
            )
    return {name: Form(tensor.dtype, tuple(tensor.shape)) for name, tensor in state.items()}


def some(texts: Sequence[str], *, between: str = ", ") -> str:
    """The first few texts, and how many more there are."""
    more = len(texts) - SHOWN
    return between.join([*texts[:SHOWN], *([f"... {more} more"] if more > 0 else [])])


def _check_forms(models: Sequence[tuple[str, Forms]]) -> None:
    """Refuse models that differ from the first, with every fault of each."""
    first, *others = models
    unlike = [fault for other in others for fault in _unlike_names(first, other)]
    unlike += [fault for other in others for fault in _unlike_shapes(first, other)]
    dtypes = [fault for other in others for fault in _unlike_dtypes(first, other)]
    if unlike or dtypes:
        raise IncompatibleModelsError(
            "\n".join([*unlike, *dtypes]),
            help=WAYS_OUT if unlike else "convert them to one dtype before merging",
        )


def _unlike_names(first: tuple[str, Forms], other: tuple[str, Forms]) -> list[str]:
    faults = []
    for (here, mine), (there, theirs) in ((first, other), (other, first)):
        only = [name for name in mine if name not in theirs]
        if only:
            faults.append(f"only {here} has {some(only)}; {there} has not")
    return faults


def _unlike_shapes(first: tuple[str, Forms], other: tuple[str, Forms]) -> list[str]:
    shapes = {
        name: (list(form.shape), list(other[1][name].shape))
        for name, form in first[1].items()
        if name in other[1] and form.shape != other[1][name].shape
    }
    return _difference("shape", shapes, first, other)


def _unlike_dtypes(first: tuple[str, Forms], other: tuple[str, Forms]) -> list[str]:
    dtypes = {
        name: (dtype_name(form.dtype), dtype_name(other[1][name].dtype))
        for name, form in first[1].items()
        if name in other[1] and form.dtype != other[1][name].dtype
    }
    return _difference("dtype", dtypes, first, other)


def _difference(
    what: str,
    differing: Mapping[str, tuple[object, object]],
    first: tuple[str, Forms],
    other: tuple[str, Forms],
) -> list[str]:
    if not differing:
        return []
    here, there = first[0], other[0]
    names = max(map(len, list(differing)[:SHOWN]))
    lines = [
        f"  {name:<{names}}    {here} {a}    {there} {b}" for name, (a, b) in differing.items()
    ]
    title = (
        f"{here} and {there} differ in the {what} of {len(differing)} of {len(first[1])} tensors"
    )
    shown = some(lines, between="\n").replace("\n... ", "\n  ... ")
    return [f"{title}\n{shown}"]


def dtype_name(dtype: torch.dtype) -> str:
    """A dtype without its library: `float32`."""
    return str(dtype).removeprefix("torch.")

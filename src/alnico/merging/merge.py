"""A merge method over state dicts in memory: checked first, then tensor by tensor in float32."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.methods import Method, methods
from alnico.methods._method import Value
from alnico.types import StateDict

SHOWN = 6
"""How many tensors a message names."""


def merge_states(
    states: Sequence[Mapping[str, Tensor]],
    method: str | Method = "linear",
    *,
    base: Mapping[str, Tensor] | None = None,
    **parameters: Value,
) -> StateDict:
    """Merge models of one architecture, given as state dicts.

    The models are constants here; the result is differentiable in the method's coefficients.
    Integers and booleans have no mean: they are copied, and must be equal in all models.

    Args:
        states: One of each model.
        method: A merge method, or its name.
        base: The model that all came from; a method that sees deltas needs it.
        **parameters: Of the method.

    Returns:
        New tensors under the names and in the dtypes of the models.

    Raises:
        UnknownNameError: If there is no such method.
        RecipeError: If a parameter is wrong, or a base is missing or of no use.
        IncompatibleModelsError: If names, shapes, dtypes or integer tensors differ, or the result
            has values that are not finite where the models had finite ones.
    """
    chosen = methods[method] if isinstance(method, str) else method
    if not states:
        raise RecipeError("there are no models to merge")
    chosen.check(len(states), parameters)
    _check_base(chosen, base)
    models = {f"model {i}": state for i, state in enumerate(states, start=1)}
    everyone = models if base is None else {**models, "base": base}
    _check_names(everyone)
    _check_shapes(everyone)
    _check_integers(everyone)
    merged = {}
    for name, first in states[0].items():
        if not first.is_floating_point():
            merged[name] = first.detach().clone()
            continue
        tensors = [state[name].detach().to(first.device) for state in states]
        root = None if base is None else base[name].detach().to(first.device)
        merged[name] = _merge_tensor(name, tensors, root, chosen, parameters)
    return merged


def merge_modules(
    modules: Sequence[nn.Module],
    method: str | Method = "linear",
    *,
    base: nn.Module | None = None,
    **parameters: Value,
) -> nn.Module:
    """Merge modules of one architecture into a new one; see `merge_states`.

    Returns:
        A copy of the first module, in its mode and on its device, with the merged weights.
    """
    root = None if base is None else base.state_dict()
    states = [module.state_dict() for module in modules]
    state = merge_states(states, method, base=root, **parameters)
    merged = copy.deepcopy(modules[0])
    merged.load_state_dict(state)
    return merged


def _merge_tensor(
    name: str,
    tensors: list[Tensor],
    base: Tensor | None,
    method: Method,
    parameters: dict[str, Value],
) -> Tensor:
    dtype = tensors[0].dtype
    compute = torch.promote_types(dtype, torch.float32) if dtype.itemsize > 1 else torch.float32
    stack = torch.stack([tensor.to(compute) for tensor in tensors])
    root = None if base is None else base.to(compute)
    found = method(stack if root is None else stack - root, **parameters)
    if found.shape != stack.shape[1:]:
        raise IncompatibleModelsError(
            f"{method.name} made {list(found.shape)} of {name}, which is {list(stack.shape[1:])}"
        )
    merged = (found if root is None else found + root).to(dtype)
    finite = merged.to(compute).isfinite()
    if not finite.all():
        given = stack if root is None else torch.cat([stack, root[None]])
        bad = int((given.isfinite().all(0) & ~finite).sum())
        if bad:
            raise IncompatibleModelsError(
                f"{method.name} makes {bad} values of {name} NaN or infinite in {dtype}",
                help="the models' values are finite: check the weights that they are given",
            )
    return merged


def _check_base(method: Method, base: Mapping[str, Tensor] | None) -> None:
    if method.sees == "deltas" and base is None:
        raise RecipeError(
            f"{method.name} merges changes from a base, and there is none",
            help="give the model that all came from as base",
        )
    if method.sees == "weights" and base is not None:
        raise RecipeError(f"{method.name} has no use for a base", help="leave it out")


def _check_names(models: Mapping[str, Mapping[str, Tensor]]) -> None:
    first, *others = models
    faults = []
    for other in others:
        for here, there in ((first, other), (other, first)):
            only = [name for name in models[here] if name not in models[there]]
            if only:
                faults.append(f"only {here} has {_some(only)}; {there} has not")
    if faults:
        raise IncompatibleModelsError(
            "the models differ in their tensors: " + "; ".join(faults),
            help="merging needs one architecture; fuse different ones by their outputs",
        )


def _check_shapes(models: Mapping[str, Mapping[str, Tensor]]) -> None:
    first, *others = models
    n_tensors = len(models[first])
    for other in others:
        differing = [
            f"{name} is {_form(tensor)} in {first} and {_form(models[other][name])} in {other}"
            for name, tensor in models[first].items()
            if _form(tensor) != _form(models[other][name])
        ]
        if differing:
            raise IncompatibleModelsError(
                f"{first} and {other} differ in the shape or dtype of {len(differing)} of "
                f"{n_tensors} tensors: " + _some(differing, between="; "),
                help="merging needs equal widths and dtypes; "
                "fuse models of different widths by their outputs",
            )


def _check_integers(models: Mapping[str, Mapping[str, Tensor]]) -> None:
    first, *others = models.values()
    differing = [
        name
        for name, tensor in first.items()
        if not tensor.is_floating_point()
        and not all(torch.equal(tensor, other[name].to(tensor.device)) for other in others)
    ]
    if differing:
        raise IncompatibleModelsError(
            f"integer tensors differ between the models: {_some(differing)}",
            help="counters and index buffers have no mean; set them equal before merging",
        )


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _some(names: Sequence[str], *, between: str = ", ") -> str:
    more = len(names) - SHOWN
    return between.join(names[:SHOWN]) + (f"{between}... {more} more" if more > 0 else "")

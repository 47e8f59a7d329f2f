"""A plan for models that are in memory, from the names, shapes and dtypes of their tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.nn.parameter import is_lazy

from alnico.checkpoint.writer import NAMES
from alnico.errors import RecipeError
from alnico.merging.alike import merge_by, plan_alike
from alnico.merging.steps import Form, Forms, Plan
from alnico.methods import Method
from alnico.methods._method import Value


def make_plan(
    models: Sequence[tuple[str, Forms]],
    method: str | Method,
    parameters: Mapping[str, Value],
    *,
    base: tuple[str, Forms] | None = None,
    dtype: str | None = None,
    seed: int = 0,
) -> Plan:
    """Check that models can be merged by one method in all their tensors.

    Args:
        models: What messages call each, and its tensors.
        method: A merge method, or its name.
        parameters: Of the method.
        base: The model that all came from.
        dtype: Of the output; None keeps that of the models.
        seed: Of methods that draw random numbers.

    Raises:
        UnknownNameError: If there is no such method.
        RecipeError: If a parameter is wrong, or a base is missing or of no use.
        IncompatibleModelsError: If the models, or the base, differ in names, shapes or dtypes.
    """
    choice = merge_by(method, parameters, n_models=len(models), has_base=base is not None)
    return plan_alike(models, lambda name: choice, base=base, dtype=dtype, seed=seed)


def read_forms(label: str, state: Mapping[str, Tensor]) -> Forms:
    """The forms of a state dict's tensors.

    Raises:
        RecipeError: If something in it is not a tensor, or has no values yet, or is of a dtype that
            safetensors has not.
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
        if tensor.dtype not in NAMES:
            raise RecipeError(
                f"{name} of {label} is of dtype {tensor.dtype}, which no file of weights has",
                help="convert it first",
            )
    return {n: Form(NAMES[tensor.dtype], tuple(tensor.shape)) for n, tensor in state.items()}

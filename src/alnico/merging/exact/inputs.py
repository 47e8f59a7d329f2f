"""What a method is given, read with its type and checked: models, a base and parameters.

Names and ranges are the translator's to check; what is wrong here would break the arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.methods._method import Value, plain

if TYPE_CHECKING:
    from torch import Tensor

Tensors: TypeAlias = "Sequence[Tensor]"
"""One tensor of every model, of one shape and dtype."""
Parameters: TypeAlias = Mapping[str, Value]
"""By mergekit's names, all of them; one value, or a list with one for each tensor."""


def number(parameters: Parameters, name: str) -> float:
    """The value of a parameter that all models share.

    Raises:
        RecipeError: If it is not given, or is no number.
    """
    value = _given(parameters, name)
    if not isinstance(value, int | float):
        raise RecipeError(f"{name} must be one number for all models, got {value!r}")
    return value


def flag(parameters: Parameters, name: str) -> bool:
    """Whether something that all models share is switched on.

    Raises:
        RecipeError: If it is not given, or is neither true nor false.
    """
    value = _given(parameters, name)
    if not isinstance(value, bool):
        raise RecipeError(f"{name} must be true or false, got {value!r}")
    return value


def numbers(parameters: Parameters, name: str, tensors: Tensors) -> list[float]:
    """The values of a parameter that each model has of its own.

    Raises:
        RecipeError: If it is not given, or not once for each tensor.
    """
    value = plain(_given(parameters, name))
    if not isinstance(value, list) or len(value) != len(tensors):
        raise RecipeError(f"{name} must be a list of {len(tensors)} numbers, got {value!r}")
    return value


def _given(parameters: Parameters, name: str) -> Value:
    if name not in parameters:
        raise RecipeError(f"{name} is not given", help=f"give {name}: it has no default here")
    return parameters[name]


def counted(method: str, tensors: Tensors, least: int, most: int | None = None) -> Tensors:
    """The tensors, if there are as many as the method merges.

    Raises:
        IncompatibleModelsError: If there are not.
    """
    if len(tensors) < least or (most is not None and len(tensors) > most):
        wanted = str(least) if least == most else f"at least {least}"
        raise IncompatibleModelsError(f"{method} merges {wanted} models, got {len(tensors)}")
    return tensors


def based(method: str, base: Tensor | None) -> Tensor:
    """The base, of a method that does not go without.

    Raises:
        RecipeError: If there is none.
    """
    if base is None:
        raise RecipeError(f"{method} needs a base model", help="name it as base_model")
    return base

"""`merge`: models in whatever form one has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, overload

from torch import Tensor, nn

from alnico.errors import RecipeError
from alnico.merging.files import merge_paths
from alnico.merging.states import combine, merge_modules, tell_counters
from alnico.methods import Method
from alnico.methods._method import Value
from alnico.types import StateDict

Model: TypeAlias = "nn.Module | Mapping[str, Tensor] | str | Path"


@overload
def merge(
    models: Sequence[nn.Module],
    method: str | Method = ...,
    *,
    base: nn.Module | None = ...,
    seed: int = ...,
    **parameters: Value,
) -> nn.Module: ...


@overload
def merge(
    models: Sequence[Mapping[str, Tensor]],
    method: str | Method = ...,
    *,
    base: Mapping[str, Tensor] | None = ...,
    seed: int = ...,
    **parameters: Value,
) -> StateDict: ...


@overload
def merge(
    models: Sequence[str | Path],
    method: str | Method = ...,
    *,
    base: str | Path | None = ...,
    seed: int = ...,
    **parameters: Value,
) -> StateDict: ...


def merge(
    models: Sequence[Model],
    method: str | Method = "linear",
    *,
    base: Model | None = None,
    seed: int = 0,
    **parameters: Value,
) -> nn.Module | StateDict:
    """Merge models of one architecture into one.

    Args:
        models: All modules, all state dicts, or all paths: files, folders or names on the hub.
        method: A merge method, or its name, e.g. `linear`, `slerp`, `ties` or one of your own.
        base: The model that all came from, in the same form; a method that sees deltas needs it.
        seed: Of methods that draw random numbers, such as `dare_ties`.
        **parameters: Of the method, e.g. `weight=[1.0, 0.8]`.

    Returns:
        A new module, or else a state dict; the models are not changed. To write a file, see
        `merge_files`.

    Raises:
        UnknownNameError: If there is no such method.
        RecipeError: If a parameter is wrong, a base is missing or of no use, or forms are mixed.
        IncompatibleModelsError: If names, shapes, dtypes or integer tensors differ, or the result
            has values that are not finite where the models had finite ones.
        DataError: If there is no such file.
        UnsafeFileError: If a file is a pickle, or not exactly as its format says.

    Example:
        >>> import alnico
        >>> from torch import nn
        >>> base, cats, dogs = nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(4, 2)
        >>> pets = alnico.merge([cats, dogs], "ties", base=base, weight=[1.0, 0.8], density=0.5)
    """
    if isinstance(models, str | Path | Mapping | nn.Module):
        raise RecipeError(
            f"models must be a list of them, got {_called(models)}", help="merge([a, b])"
        )
    given = list(models)
    everything = given if base is None else [*given, base]
    if all(isinstance(model, nn.Module) for model in everything):
        modules = [model for model in given if isinstance(model, nn.Module)]
        root = base if isinstance(base, nn.Module) else None
        return merge_modules(modules, method, base=root, seed=seed, **parameters)
    if all(isinstance(model, Mapping) for model in everything):
        states = [model for model in given if isinstance(model, Mapping)]
        start_state = base if isinstance(base, Mapping) else None
        done = combine(states, method, parameters, base=start_state, seed=seed)
        tell_counters(done)
        return done.tensors
    if all(isinstance(model, str | Path) for model in everything):
        paths = [model for model in given if isinstance(model, str | Path)]
        start = base if isinstance(base, str | Path) else None
        return merge_paths(paths, method, base=start, seed=seed, **parameters)
    raise _mixed(given, base)


def _mixed(models: Iterable[object], base: object) -> RecipeError:
    kinds = [f"model {i} is {_called(model)}" for i, model in enumerate(models, start=1)]
    if base is not None:
        kinds.append(f"base is {_called(base)}")
    return RecipeError(
        f"the models are not in one form: {', '.join(kinds)}",
        help="give all as modules, all as state dicts, or all as paths of .safetensors files",
    )


def _called(model: object) -> str:
    if isinstance(model, nn.Module):
        return "a module"
    if isinstance(model, Mapping):
        return "a state dict"
    if isinstance(model, str | Path):
        return f"the path {str(model)!r}"
    return f"an object of type {type(model).__name__}"

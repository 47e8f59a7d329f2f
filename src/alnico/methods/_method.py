"""The form of a merge method: its signature is read, without torch, into names, ranges and checks.

A coefficient that each model has of its own arrives in the function as [k, 1, ..., 1].
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast, get_args, get_type_hints

from alnico.errors import RecipeError
from alnico.registry import Registry, suggest

if TYPE_CHECKING:
    from torch import Tensor

Sees: TypeAlias = Literal["weights", "deltas"]
Value: TypeAlias = "bool | int | float | str | Sequence[float] | Tensor"
"""What a caller may give for a parameter."""

TAKEN = frozenset(["base", "force", "help", "method", "models", "output", "plugin", "quiet", "set"])
"""What `merge` and its command call their own arguments; no parameter can be called so."""

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
"""How a parameter's type is called in messages."""


@dataclass(frozen=True)
class Range:
    """A closed interval that a number must lie in; written `Annotated[float, Range(0, 2)]`.

    Args:
        low: The least value.
        high: The greatest value.
    """

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"


Fraction: TypeAlias = Annotated[float, Range(0.0, 1.0)]
"""A share: 0.2 is 20 %."""


@dataclass(frozen=True)
class _PerModel:
    default: float


def per_model(default: float) -> Any:
    """The default of a coefficient that each model has of its own: one number, or one per model."""
    return _PerModel(default)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method.

    Args:
        name: Its name: the keyword, the flag, the key in a recipe.
        default: What it is if nothing is given.
        type: Of its value; of each model's value if it is `per_model`.
        interval: Where a number must lie; None if anywhere.
        per_model: Whether each model may have a value of its own.
    """

    name: str
    default: bool | int | float | str
    type: type[bool] | type[int] | type[float] | type[str]
    interval: Range | None
    per_model: bool


@dataclass(frozen=True)
class Method:
    """A merge method: a function [k, ...] -> [...], and what its signature says.

    Args:
        name: What it is called by.
        function: The function itself.
        sees: Whether it is given the models' values, or their change from a base.
        parameters: In the order of the signature, without the first.
        summary: One sentence on what it is for.
        paper: Where it was described.
        models: How many models it merges; None if any number.
        symmetric: With every parameter at its default, the order of the models is irrelevant.
        idempotent: With every parameter at its default, equal models give that model.
    """

    name: str
    function: Callable[..., Tensor]
    sees: Sees
    parameters: tuple[Parameter, ...]
    summary: str
    paper: str | None
    models: int | None
    symmetric: bool
    idempotent: bool

    def __call__(self, stack: Tensor, /, **parameters: Value) -> Tensor:
        """Merge one tensor of every model.

        Args:
            stack: [k, ...], the models' values or deltas.
            **parameters: Of this method.

        Returns:
            [...], the merged values or delta; differentiable in `stack` and the coefficients.

        Raises:
            RecipeError: As `check` does.
        """
        settings = self.check(len(stack), parameters)
        shape = [len(stack)] + [1] * (stack.ndim - 1)
        for parameter in self.parameters:
            if parameter.per_model:
                settings[parameter.name] = _column(settings[parameter.name], stack, shape)
        return self.function(stack, **settings)

    def check(self, n_models: int, parameters: dict[str, Value]) -> dict[str, Value]:
        """Complete the parameters with their defaults.

        Raises:
            RecipeError: If the number of models does not fit; or a parameter is unknown, of the
                wrong type or count, or out of its range.
        """
        if self.models not in (None, n_models):
            raise RecipeError(f"{self.name} merges {self.models} models, got {n_models}")
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in parameters:
            if name not in known:
                raise RecipeError(
                    f"{self.name} has no parameter {name!r}",
                    help=suggest(name, known, all_of_them="its parameters are"),
                )
        for name, value in parameters.items():
            _check_value(self.name, known[name], value, n_models)
        return {name: parameters.get(name, known[name].default) for name in known}


class _Methods(Registry[Method]):
    """Merge methods; what is defined again in the same place takes the place of the earlier."""

    def add(self, name: str, thing: Method) -> Method:
        """Register a method under its name and give it back."""
        held = self._things.get(name)
        if held is not None and _place(held) == _place(thing):
            del self._things[name]
        return super().add(name, thing)


def _place(method: Method) -> tuple[str, str]:
    return method.function.__module__, method.function.__qualname__


methods: Registry[Method] = _Methods("merge method")


def method(
    *,
    paper: str | None = None,
    models: int | None = None,
    symmetric: bool = False,
    idempotent: bool = False,
) -> Callable[[Callable[..., Tensor]], Method]:
    """Register the decorated function as a merge method under its own name.

    Args:
        paper: Where it was described.
        models: How many models it merges, if not any number.
        symmetric: Whether the order of the models is irrelevant by default; tested both ways.
        idempotent: Whether equal models give that model by default; tested both ways.

    Raises:
        RecipeError: If the signature is not that of a method.
    """

    def register(function: Callable[..., Tensor]) -> Method:
        name = function.__name__
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        if not summary:
            raise RecipeError(f"{name}: a method needs a docstring, its first line is its summary")
        sees, parameters = _read_signature(function)
        made = Method(
            name, function, sees, parameters, summary, paper, models, symmetric, idempotent
        )
        return methods.add(name, made)

    return register


def _read_signature(function: Callable[..., Tensor]) -> tuple[Sees, tuple[Parameter, ...]]:
    name = function.__name__
    parameters = list(inspect.signature(function).parameters.values())
    sees = parameters[0].name if parameters else ""
    if sees not in ("weights", "deltas"):
        raise RecipeError(
            f"{name}: the first parameter is named {sees!r}",
            help="name it for what the method sees: weights, or deltas (their change from a base)",
        )
    try:  # `Tensor` is imported for type checkers alone
        hints = get_type_hints(function, localns={"Tensor": object}, include_extras=True)
    except NameError as error:
        raise RecipeError(
            f"{name}: an annotation cannot be read: {error}",
            help="annotate tensors as Tensor and other parameters with float, int, bool or str",
        ) from error
    rest = tuple(_parameter(name, p, hints.get(p.name)) for p in parameters[1:])
    return cast(Sees, sees), rest


def _parameter(method_name: str, parameter: inspect.Parameter, hint: object) -> Parameter:
    where, default = f"{method_name}: {parameter.name}", parameter.default
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise RecipeError(f"{where} takes any arguments", help="name each parameter")
    if parameter.name in TAKEN:
        raise RecipeError(f"{where} is a name that merging has taken", help="rename it")
    if default is parameter.empty:
        raise RecipeError(f"{where} has no default", help="each parameter needs one")
    kind, *extras = get_args(hint) if get_args(hint) else (hint,)
    interval = next((extra for extra in extras if isinstance(extra, Range)), None)
    own = isinstance(default, _PerModel)
    if own:
        kind, default = float, default.default
    if kind not in (bool, int, float, str):
        raise RecipeError(f"{where} must be annotated as float, int, bool or str, got {hint}")
    read = Parameter(parameter.name, default, kind, interval, own)
    _check_value(method_name, read, default, 1)
    return read


def _check_value(method_name: str, parameter: Parameter, value: Value, n_models: int) -> None:
    where = f"{method_name}: {parameter.name}"
    if not parameter.per_model:
        _check_one(where, parameter, value)
        return
    values = plain(value)
    if not isinstance(values, list):
        _check_one(where, parameter, values)
        return
    if len(values) != n_models:
        raise RecipeError(f"{where} has {len(values)} values for {n_models} models")
    for one in values:
        _check_one(where, parameter, one)


def _check_one(where: str, parameter: Parameter, value: object) -> None:
    allowed = (int, float) if parameter.type is float else (parameter.type,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and parameter.type is not bool):
        raise RecipeError(f"{where} must be {KINDS[parameter.type]}, got {value!r}")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    if not math.isfinite(value):
        raise RecipeError(f"{where} must be finite, got {value}")
    interval = parameter.interval
    if interval is not None and value not in interval:
        is_percent = interval == Range(0.0, 1.0) and 1 < value <= 100
        raise RecipeError(
            f"{where} must lie in {interval}, got {value:g}",
            help=f"{value:g} % is {value / 100:g}" if is_percent else None,
        )


def plain(value: Value) -> object:
    """A number, or a list of one per model, from what a caller gave."""
    if isinstance(value, bool | int | float | str):
        return value
    return value.tolist() if hasattr(value, "tolist") else list(value)


def _column(value: Value, stack: Tensor, shape: list[int]) -> Tensor:
    """One value per model, [k, 1, ..., 1], like `stack`; a tensor's gradient is kept."""
    if hasattr(value, "requires_grad"):
        given = cast("Tensor", value).to(stack)
    else:
        given = stack.new_tensor(plain(value))
    return given.expand(len(stack)).reshape(shape)

"""The form of a merge method: its signature is read, without torch, into names, ranges and checks.

A coefficient that each model has of its own arrives in the function as [k, 1, ..., 1].
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args, get_type_hints

from alnico.errors import RecipeError
from alnico.methods._parameter import KINDS as KINDS
from alnico.methods._parameter import Fraction as Fraction
from alnico.methods._parameter import Fractions as Fractions
from alnico.methods._parameter import Parameter as Parameter
from alnico.methods._parameter import Positive as Positive
from alnico.methods._parameter import Range as Range
from alnico.methods._parameter import Value as Value
from alnico.methods._parameter import per_model as per_model
from alnico.methods._parameter import plain as plain
from alnico.methods._parameter import read_parameter
from alnico.registry import Registry, suggest

if TYPE_CHECKING:
    from torch import Tensor

Sees: TypeAlias = Literal["weights", "deltas", "vectors"]
"""What a method is given of each model: its values; its change from a base; or its change where
there is a base, and its values where there is none."""


@dataclass(frozen=True)
class Method:
    """A merge method: a function [k, ...] -> [...], and what its signature says.

    Args:
        name: What it is called by.
        function: The function itself.
        sees: What it is given of each model.
        parameters: In the order of the signature, without what it sees.
        summary: One sentence on what it is for.
        paper: Where it was described.
        models: How many models it merges, besides the base; None if any number.
        symmetric: With every parameter at its default, the order of the models is irrelevant.
        idempotent: With every parameter at its default, equal models give that model.
        at_least: How many models it needs.
        asks_base: Whether it is given the base's values, too.
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
    at_least: int = 1
    asks_base: bool = False

    @property
    def needs_base(self) -> bool:
        """Whether there must be a base."""
        return self.sees == "deltas" or self.asks_base

    @property
    def takes_base(self) -> bool:
        """Whether there may be a base."""
        return self.needs_base or self.sees == "vectors"

    def __call__(self, stack: Tensor, /, *, base: Tensor | None = None, **given: Value) -> Tensor:
        """Merge one tensor of every model.

        Args:
            stack: [k, ...], the models' values or deltas.
            base: [...], the base's values, for a method that asks for them.
            **given: Parameters of this method.

        Returns:
            [...], the merged values or delta; differentiable in `stack` and the coefficients.

        Raises:
            RecipeError: As `check` does; or if there is no base and the method asks for it.
        """
        settings: dict[str, Value] = self.check(len(stack), given)
        shape = [len(stack)] + [1] * (stack.ndim - 1)
        for parameter in self.parameters:
            if parameter.per_model:
                settings[parameter.name] = _column(settings[parameter.name], stack, shape)
        if self.asks_base:
            if base is None:
                raise RecipeError(f"{self.name} needs the base's values", help="give base=")
            settings["base"] = base
        return self.function(stack, **settings)

    def check(self, n_models: int, parameters: dict[str, Value]) -> dict[str, Value]:
        """Complete the parameters with their defaults.

        Raises:
            RecipeError: If the number of models does not fit; or a parameter is unknown, of the
                wrong type or count, or out of its range.
        """
        if self.models not in (None, n_models):
            wanted = f"{self.models} model" + "s" * (self.models != 1)
            raise RecipeError(f"{self.name} merges {wanted}, got {n_models}")
        if n_models < self.at_least:
            raise RecipeError(f"{self.name} merges {self.at_least} or more models, got {n_models}")
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in parameters:
            if name not in known:
                raise RecipeError(
                    f"{self.name} has no parameter {name!r}",
                    help=suggest(name, known, all_of_them="its parameters are"),
                )
        for name, value in parameters.items():
            known[name].check(self.name, value, n_models)
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
    at_least: int = 1,
    symmetric: bool = False,
    idempotent: bool = False,
) -> Callable[[Callable[..., Tensor]], Method]:
    """Register the decorated function as a merge method under its own name.

    Args:
        paper: Where it was described.
        models: How many models it merges, if not any number.
        at_least: How many models it needs.
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
        sees, asks_base, parameters = _read_signature(function)
        made = Method(
            name=name,
            function=function,
            sees=sees,
            parameters=parameters,
            summary=summary,
            paper=paper,
            models=models,
            symmetric=symmetric,
            idempotent=idempotent,
            at_least=at_least,
            asks_base=asks_base,
        )
        return methods.add(name, made)

    return register


def _read_signature(function: Callable[..., Tensor]) -> tuple[Sees, bool, tuple[Parameter, ...]]:
    name = function.__name__
    given = list(inspect.signature(function).parameters.values())
    sees = given[0].name if given else ""
    if sees not in get_args(Sees):
        raise RecipeError(
            f"{name}: the first parameter is named {sees!r}",
            help="name it for what the method sees: weights, deltas (their change from a base) "
            "or vectors (the change where a base is given, the values where none is)",
        )
    try:  # `Tensor` is imported for type checkers alone
        hints = get_type_hints(function, localns={"Tensor": object}, include_extras=True)
    except NameError as error:
        raise RecipeError(
            f"{name}: an annotation cannot be read: {error}",
            help="annotate tensors as Tensor and other parameters with float, int, bool or str",
        ) from error
    own = [p for p in given[1:] if not _is_base(p, hints.get(p.name))]
    parameters = tuple(read_parameter(name, p, hints.get(p.name)) for p in own)
    return cast(Sees, sees), len(own) < len(given) - 1, parameters


def _is_base(parameter: inspect.Parameter, hint: object) -> bool:
    """Whether it is `base: Tensor`, by which a method asks for the base's values."""
    is_tensor = hint is object or getattr(hint, "__name__", None) == "Tensor"
    return parameter.name == "base" and is_tensor and parameter.default is parameter.empty


def _column(value: Value, stack: Tensor, shape: list[int]) -> Tensor:
    """One value per model, [k, 1, ..., 1], like `stack`; a tensor's gradient is kept."""
    if hasattr(value, "requires_grad"):
        given = cast("Tensor", value).to(stack)
    else:
        given = stack.new_tensor(plain(value))
    return given.expand(len(stack)).reshape(shape)

"""The parameters of a merge method: what kind each is, where it must lie, and what is refused."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeAlias,
    cast,
    get_args,
    get_origin,
)

from alnico.errors import RecipeError
from alnico.registry import closest

if TYPE_CHECKING:
    from torch import Tensor

Value: TypeAlias = "bool | int | float | str | Sequence[float] | Tensor"
"""What a caller may give for a parameter."""

TAKEN = frozenset(
    [
        "allow_nonfinite",
        "base",
        "compat",
        "device",
        "dtype",
        "eval",
        "force",
        "help",
        "integers_from",
        "json",
        "keep",
        "match",
        "method",
        "models",
        "order",
        "output",
        "plugin",
        "quiet",
        "resume",
        "seed",
        "set",
        "sha256",
        "shard_size",
        "stages",
        "strict",
        "threads",
        "tokenizer",
        "verbose",
        "where",
    ]
)
"""What `merge`, its command and recipes call their own; no parameter can be called so."""

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

Fractions: TypeAlias = Annotated["Tensor", Range(0.0, 1.0)]
"""A share that each model has of its own, [k, 1, ...]; its default is `per_model(0.2)`."""

Positive: TypeAlias = Annotated[float, Range(0.0, math.inf)]
"""Zero or more, such as a tolerance."""


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
        choices: The texts that it may be; empty if any.
    """

    name: str
    default: bool | int | float | str
    type: type[bool] | type[int] | type[float] | type[str]
    interval: Range | None
    per_model: bool
    choices: tuple[str, ...] = ()

    def check(self, method: str, value: Value, n_models: int) -> None:
        """Refuse a value that the parameter cannot have.

        Args:
            method: What messages call its method.
            value: One value, or one for each model.
            n_models: How many models are merged.

        Raises:
            RecipeError: If it is of the wrong type or count, or out of its range.
        """
        where = f"{method}: {self.name}"
        values = plain(value) if self.per_model else value
        if not (self.per_model and isinstance(values, list)):
            self._check_one(where, values)
            return
        if len(values) != n_models:
            raise RecipeError(f"{where} has {len(values)} values for {n_models} models")
        for one in values:
            self._check_one(where, one)

    def _check_one(self, where: str, value: object) -> None:
        if self.choices and value not in self.choices:
            near = closest(value, self.choices) if isinstance(value, str) else None
            raise RecipeError(
                f"{where} must be one of {', '.join(self.choices)}, got {value!r}",
                help=None if near is None else f"did you mean {near!r}?",
            )
        allowed = (int, float) if self.type is float else (self.type,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and self.type is not bool):
            raise RecipeError(f"{where} must be {KINDS[self.type]}, got {value!r}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if not math.isfinite(value):
            raise RecipeError(f"{where} must be finite, got {value}")
        if self.interval is not None and value not in self.interval:
            is_percent = self.interval == Range(0.0, 1.0) and 1 < value <= 100
            raise RecipeError(
                f"{where} must lie in {self.interval}, got {value:.12g}",
                help=f"{value:g} % is {value / 100:g}" if is_percent else None,
            )


def plain(value: Value) -> object:
    """A number, or a list of one per model, from what a caller gave."""
    if isinstance(value, bool | int | float | str):
        return value
    return value.tolist() if hasattr(value, "tolist") else list(value)


def read_parameter(method: str, given: inspect.Parameter, hint: object) -> Parameter:
    """What a signature says of one parameter.

    Args:
        method: What messages call its method.
        given: The parameter, as Python has it.
        hint: Its annotation, resolved.

    Raises:
        RecipeError: If it has no default, or an annotation or a name that none can have.
    """
    where, default = f"{method}: {given.name}", given.default
    if given.kind in (given.VAR_POSITIONAL, given.VAR_KEYWORD):
        raise RecipeError(f"{where} takes any arguments", help="name each parameter")
    if given.name in TAKEN:
        raise RecipeError(f"{where} is a name that merging has taken", help="rename it")
    if default is given.empty:
        raise RecipeError(f"{where} has no default", help="each parameter needs one")
    kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    interval = next((extra for extra in extras if isinstance(extra, Range)), None)
    choices: tuple[object, ...] = ()
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        kind = str if all(isinstance(choice, str) for choice in choices) else None
    own = isinstance(default, _PerModel)
    if own:
        kind, default = float, default.default
    if kind not in (bool, int, float, str):
        raise RecipeError(
            f"{where} must be annotated as float, int, bool or str, got {hint}",
            help="a text that is one of a few is a Literal of them",
        )
    texts = cast(tuple[str, ...], choices)
    read = Parameter(given.name, default, kind, interval, own, texts)
    read.check(method, default, 1)
    return read

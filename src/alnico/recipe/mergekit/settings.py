"""Which value a parameter has for one tensor: mergekit's rules, filters and gradients.

The nearest place that says something about a tensor decides: a model's own parameters, then its
slice's, its module's and the recipe's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alnico.errors import RecipeError
from alnico.recipe.mergekit.schema import Parameters, Rule, Scalar
from alnico.recipe.mergekit.table import Kind, Parameter

TRUE = frozenset(["1", "t", "true", "y", "yes", "on"])
FALSE = frozenset(["0", "f", "false", "n", "no", "off"])
CALLED = {bool: "true or false", int: "a whole number", float: "a number"}


def resolve(
    parameter: Parameter, levels: Iterable[Parameters], *, tensor: str, t: float
) -> Scalar | None:
    """The value that a parameter has for a tensor, or None if nothing says it.

    Args:
        parameter: Which.
        levels: Where it may stand, the nearest first.
        tensor: The name that filters look at.
        t: Where the tensor lies between the first layer of its slice, 0, and the last, 1.

    Raises:
        RecipeError: If a gradient of whole numbers gives none.
    """
    for level in levels:
        rule = find(level.get(parameter.name, ()), tensor)
        value = None if rule is None else at(rule.value, t)
        if value is not None:
            return _whole(parameter, value, tensor) if parameter.kind is int else value
    return None


def find(rules: Sequence[Rule], tensor: str) -> Rule | None:
    """The first rule that holds for a tensor: its filter is `*`, none, or a part of the name."""
    for rule in rules:
        if rule.filter is None or rule.filter == "*" or rule.filter in tensor:
            return rule
    return None


def at(value: Scalar | tuple[Scalar, ...], t: float) -> Scalar | None:
    """A gradient at t in [0, 1]: between numbers it is linear, of others it takes the last passed.

    A single value is the same everywhere; a gradient without values says nothing.
    """
    if not isinstance(value, tuple):
        return value
    if not value:
        return None
    place = t * (len(value) - 1)
    left = int(place)
    low, high = value[left], value[min(left + 1, len(value) - 1)]
    if isinstance(low, bool | str) or isinstance(high, bool | str):
        return low
    share = place - left
    return (1 - share) * low + share * high


def cast(kind: Kind, value: object) -> Scalar:
    """A value as a parameter's type, as generous as mergekit: `"1e-5"` is a number, 0 is false.

    Raises:
        ValueError: If it is none, with a text that says what it should be.
    """
    if kind is bool:
        word = str(value).lower()
        whole = str(int(value)) if isinstance(value, float) and value in (0, 1) else word
        if whole in TRUE | FALSE:
            return whole in TRUE
    elif isinstance(value, bool | int | float | str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = float("nan")
        if kind is float and number - number == 0:
            return number
        if kind is int and number.is_integer():
            return int(number)
    raise ValueError(f"must be {CALLED[kind]}, got {value!r}")


def _whole(parameter: Parameter, value: Scalar, tensor: str) -> int:
    if not float(value).is_integer():
        raise RecipeError(
            f"{parameter.name} must be a whole number, and its gradient gives {value} for {tensor}",
            help="give one value",
        )
    return int(value)

from __future__ import annotations

import inspect
import math
from typing import Annotated, Any, Literal

import pytest

from alnico.errors import RecipeError
from alnico.methods._parameter import (
    Fraction,
    Fractions,
    Parameter,
    Positive,
    Range,
    per_model,
    read_parameter,
)


def read(hint: object, default: object, name: str = "x") -> Parameter:
    given = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
    return read_parameter("made", given, hint)


@pytest.mark.parametrize(
    ("hint", "default", "expected"),
    [
        (float, 1.0, Parameter("x", 1.0, float, None, False)),
        (Fraction, 0.2, Parameter("x", 0.2, float, Range(0, 1), False)),
        (Positive, 3.0, Parameter("x", 3.0, float, Range(0, math.inf), False)),
        (Annotated[int, Range(1, 5)], 2, Parameter("x", 2, int, Range(1, 5), False)),
        (object, per_model(1.0), Parameter("x", 1.0, float, None, True)),
        (Fraction, per_model(0.2), Parameter("x", 0.2, float, Range(0, 1), True)),
        (Fractions, per_model(0.2), Parameter("x", 0.2, float, Range(0, 1), True)),
        (Literal["a", "b"], "b", Parameter("x", "b", str, None, False, ("a", "b"))),
    ],
)
def test_an_annotation_and_a_default_say_what_a_parameter_is(
    hint: object, default: object, expected: Parameter
) -> None:
    assert read(hint, default) == expected


@pytest.mark.parametrize(
    ("hint", "default", "message"),
    [
        (float, inspect.Parameter.empty, "made: x has no default\n  help: each"),
        (list, [1], "made: x must be annotated as float, int, bool or str, got <class 'list'>"),
        (Literal[1, 2], 1, "made: x must be annotated as float, int, bool or str"),
        (Literal["a", "b"], "c", "made: x must be one of a, b, got 'c'"),
        (Fraction, per_model(20), r"made: x must lie in \[0, 1\], got 20\n  help: 20 % is 0.2"),
        (Positive, -1.0, r"made: x must lie in \[0, inf\], got -1"),
    ],
)
def test_what_no_method_can_ask_for_is_refused(hint: object, default: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read(hint, default)


def test_a_name_that_merging_has_taken_is_refused() -> None:
    with pytest.raises(RecipeError, match="made: plugin is a name that merging has taken"):
        read(str, "", name="plugin")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("weigths", "normalize must be one of none, weights, got 'weigths'\n  help: did you mean"),
        ("half", "normalize must be one of none, weights, got 'half'$"),
        (True, "normalize must be one of none, weights, got True$"),
    ],
)
def test_a_text_that_is_none_of_the_choices_is_refused(value: object, message: str) -> None:
    parameter = read(Literal["none", "weights"], "none", name="normalize")
    parameter.check("made", "weights", 3)
    with pytest.raises(RecipeError, match=message):
        parameter.check("made", value, 3)  # type: ignore[arg-type]


def test_each_model_has_its_own_share_within_the_range() -> None:
    density = read(Fractions, per_model(0.2), name="density")
    density.check("made", [0.1, 0.5, 1], 3)
    with pytest.raises(RecipeError, match=r"density must lie in \[0, 1\], got 30\n  help: 30 %"):
        density.check("made", [0.1, 30, 1], 3)
    with pytest.raises(RecipeError, match="density has 2 values for 3 models"):
        density.check("made", [0.1, 0.3], 3)

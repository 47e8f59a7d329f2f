from __future__ import annotations

from collections.abc import Callable

import pytest

from alnico.errors import RecipeError
from alnico.recipe.mergekit.parameters import read_parameters
from alnico.recipe.mergekit.reading import Reading
from alnico.recipe.mergekit.schema import Rule
from alnico.recipe.mergekit.table import CONTRACTS

Read = Callable[..., Reading]
TIES = CONTRACTS["ties"]


@pytest.mark.parametrize(
    ("setting", "rules"),
    [
        ("0.5", (Rule(0.5, None, 1),)),
        ("'1e-5'", (Rule(1e-5, None, 1),)),
        ("[0, 1e-1]", (Rule((0.0, 0.1), None, 1),)),
        ("{value: 1, filter: mlp}", (Rule(1.0, "mlp", 1),)),
        (
            "[{value: [0, 1], filter: mlp}, {value: 1}]",
            (Rule((0.0, 1.0), "mlp", 1), Rule(1.0, None, 1)),
        ),
    ],
)
def test_a_setting_is_a_value_a_gradient_or_rules(
    reading: Read, setting: str, rules: tuple[Rule, ...]
) -> None:
    found = reading(f"parameters: {{weight: {setting}}}")
    assert read_parameters(found, ("parameters",), TIES) == {"weight": rules}
    assert len(found.faults) == 0 and not found.said


def test_a_parameter_that_the_method_lacks_is_said_once(reading: Read) -> None:
    found = reading("parameters: {t: 0.5, gamma: 1, densty: 1, int8_mask: true}")
    assert read_parameters(found, ("parameters",), TIES).keys() == {"int8_mask"}
    assert [line.split(": ", 1)[1] for line in found.said] == [
        "t has no effect on ties",
        "gamma has no effect on ties",
        "densty is not known to mergekit, nor to alnico: did you mean density?",
    ]


def test_an_empty_gradient_is_said_to_say_nothing(reading: Read) -> None:
    found = reading("parameters: {weight: []}")
    assert read_parameters(found, ("parameters",), TIES) == {"weight": (Rule((), None, 1),)}
    assert found.said == ("recipe.yml:1: weight is a gradient without values, which says nothing",)


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("half", "weight must be a number, got 'half'"),
        ("", "weight has no value"),
        ("{filter: mlp}", "weight has no value"),
        ("[{value: 1}, 2]", "weight must be a number, got {'value': 1}"),
        ("{value: 1, filter: 3}", "a filter must be a text, got 3"),
        (".inf", "weight must be a number, got inf"),
    ],
)
def test_what_is_no_setting_is_a_fault(reading: Read, setting: str, fault: str) -> None:
    found = reading(f"parameters:\n  weight: {setting}\n")
    read_parameters(found, ("parameters",), TIES)
    with pytest.raises(RecipeError, match=f"{fault}\n  --> recipe.yml:2"):
        found.faults.check()


def test_parameters_must_be_a_mapping_and_may_be_absent(reading: Read) -> None:
    found = reading("parameters: [1]")
    assert read_parameters(found, ("parameters",), TIES) == {}
    assert read_parameters(reading("a: 1"), ("parameters",), TIES) == {}
    with pytest.raises(RecipeError, match=r"parameters must be a mapping, got \[1\]"):
        found.faults.check()

from __future__ import annotations

from collections.abc import Callable

import pytest

from alnico.errors import RecipeError
from alnico.recipe.mergekit.reading import Reading

Read = Callable[..., Reading]

TEXT = """\
models:
  - model: a
    wieght: 1
name:
"""


def test_a_value_is_found_by_the_way_to_it_and_so_is_its_line(reading: Read) -> None:
    found = reading(TEXT)
    assert found.at(("models", 0, "model")) == "a" and found.line(("models", 0, "model")) == 2
    assert found.at(("models", 1, "model")) is None and found.line(("models", 1, "model")) == 1
    assert found.at(("model", "x")) is None and found.at(("models", "x")) is None


def test_keys_with_a_value_are_told_and_others_noted(reading: Read) -> None:
    found = reading(TEXT)
    assert found.keys(("models", 0), ["model", "weight"]) == ["model"]
    assert found.keys((), ["models", "name"]) == ["models"]
    assert found.said == (
        "recipe.yml:3: wieght is not known to mergekit, nor to alnico: did you mean weight?",
    )
    with pytest.raises(RecipeError, match="wieght is not known to mergekit, nor to alnico"):
        strict = reading(TEXT, strict=True)
        strict.keys(("models", 0), ["model", "weight"])
        strict.faults.check()


def test_a_parameter_at_the_wrong_place_is_told_where_it_belongs(reading: Read) -> None:
    found = reading("lambda: 1")
    found.keys((), ["models"])
    assert found.said == ("recipe.yml:1: lambda has no effect here: it belongs under parameters",)


def test_the_same_remark_is_made_once(reading: Read) -> None:
    found = reading(TEXT)
    for _ in range(2):
        found.say(("name",), "name is empty", help="give one")
    assert found.said == ("recipe.yml:4: name is empty: give one",)


@pytest.mark.parametrize(
    ("look", "fault"),
    [
        (lambda found: found.keys(("models",), []), "models must be a mapping, got "),
        (lambda found: found.places(("name",)), "name must be a list with entries, got nothing"),
        (lambda found: found.text(("models", 0)), "models must be a text, got "),
        (lambda found: found.text(("models", 0, "wieght")), "wieght must be a text, got 1"),
    ],
)
def test_another_type_is_a_fault(
    reading: Read, look: Callable[[Reading], object], fault: str
) -> None:
    found = reading(TEXT)
    assert not look(found)
    with pytest.raises(RecipeError, match=fault):
        found.faults.check()

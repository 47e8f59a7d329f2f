from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.errors import DataError, RecipeError
from alnico.recipe.kinds import kind_of

Write = Callable[[str], Path]


def test_the_two_kinds_are_told_by_their_keys(pets: str, write: Write) -> None:
    assert kind_of(write(pets)) == "alnico"
    assert kind_of(write("merge_method: ties\nmodels: []\n")) == "mergekit"
    assert kind_of(write("name: a\nmerge_method: ties\n---\nmerge_method: linear\n")) == "mergekit"


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("merge_metod: ties", "did you mean 'merge_method' by 'merge_metod'?"),
        ("alnicco: 1", "did you mean 'alnico' by 'alnicco'?"),
        ("base_model: a\ngate_mode: hidden\nexperts: []", "a recipe of mergekit-moe, which this"),
        ("genome: {}", "a recipe of mergekit-evolve, which this version does not run"),
        ("x: 1", "a recipe of alnico's begins with alnico: 1"),
    ],
)
def test_what_is_neither_is_explained(text: str, help: str, write: Write) -> None:
    with pytest.raises(RecipeError) as error:
        kind_of(write(text))
    assert "has neither the key 'alnico' nor 'merge_method'" in str(error.value)
    assert help in str(error.value)


def test_a_recipe_of_both_kinds_is_refused(pets: str, write: Write) -> None:
    with pytest.raises(RecipeError, match=r"of alnico's recipes and of mergekit's\n  --> .*:1"):
        kind_of(write("merge_method: ties\n" + pets))


def test_what_is_no_mapping_or_not_there_is_refused(folder: Path, write: Write) -> None:
    with pytest.raises(RecipeError, match=r"a recipe is a mapping, got \['a'\]"):
        kind_of(write("- a"))
    with pytest.raises(DataError, match="there is no file"):
        kind_of(folder / "none.yaml")

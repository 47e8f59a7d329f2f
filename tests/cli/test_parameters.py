from __future__ import annotations

import inspect
from typing import Any

import pytest
import typer

from alnico.cli.app import app
from alnico.cli.parameters import as_settings, read_parameters
from alnico.errors import RecipeError
from alnico.merging import merge_files, merge_paths
from alnico.methods import methods
from alnico.methods._parameter import TAKEN


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("a b -o c --force -q", "a b -o c --force -q"),
        ("--weight 1 2 a", "--set weight=1 --set weight=2 a"),
        ("--weight 1 -2.5 -o c", "--set weight=1 --set weight=-2.5 -o c"),
        ("--mode fast a 3", "--set mode=fast a 3"),
        ("--time-limit=5 a", "--set time_limit=5 a"),
        ("--base --odd a", "--base --odd a"),
        ("--twice --force", "--set twice --force"),
        ("a -- --weight 1", "a -- --weight 1"),
    ],
)
def test_options_of_a_method_are_writtenas_settings(given: str, written: str) -> None:
    own, with_value = {"-o", "--force", "-q", "--base", "--set"}, {"-o", "--base", "--set"}
    assert as_settings(given.split(), own=own, with_value=with_value) == written.split()


@pytest.mark.parametrize("verb", ["merge", "plan", "run"])
def test_no_parameter_can_hide_an_option(verb: str) -> None:
    group: Any = typer.main.get_command(app)
    options = {
        name.removeprefix("--").replace("-", "_")
        for option in group.commands[verb].params
        for name in option.opts
        if name.startswith("--")
    }
    assert options <= TAKEN


@pytest.mark.parametrize("function", [merge_files, merge_paths])
def test_no_parameter_can_hide_an_argument(function: Any) -> None:
    known = inspect.signature(function).parameters.values()
    assert {one.name for one in known if one.kind is one.KEYWORD_ONLY} <= TAKEN


def test_values_have_the_types_that_the_method_asks_for() -> None:
    given = ["weight=1", "weight=0.5", "normalize=false"]
    found = read_parameters(methods["linear"], given, options=[])
    assert found == {"weight": [1.0, 0.5], "normalize": False}
    assert read_parameters(methods["ties"], ["density=.5"], options=[]) == {"density": 0.5}


def test_an_unknown_parameter_is_set_against_the_verbs_own_options() -> None:
    with pytest.raises(RecipeError, match="no parameter 'outptu'") as caught:
        read_parameters(methods["linear"], ["outptu=x"], options=["-o", "--output"])
    assert caught.value.help == "did you mean '--output'?"

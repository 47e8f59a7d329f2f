from __future__ import annotations

from pathlib import Path

import pytest

from alnico.errors import RecipeError
from alnico.methods import methods
from alnico.recipe.faults import Faults
from alnico.recipe.parts import Gradient, Setting
from alnico.recipe.reading import Names
from alnico.recipe.settings import read_settings
from alnico.recipe.yaml_text import parse_documents

HERE = Path("pets.yaml")
PETS = Names(("cats", "dogs"))


def read(text: str, method: str = "ties", names: Names = PETS) -> dict[str, Setting]:
    value = parse_documents(text, HERE)[0].value
    assert isinstance(value, dict)
    faults = Faults(HERE)
    found = read_settings(value, methods[method], names, faults)
    faults.check()
    return found


def fault(text: str, method: str = "ties", names: Names = PETS) -> str:
    with pytest.raises(RecipeError) as error:
        read(text, method, names)
    return str(error.value)


def test_one_value_is_for_all_models() -> None:
    assert read("{weight: 2, density: 1e-1, normalize: none}") == {
        "weight": 2,
        "density": 0.1,
        "normalize": "none",
    }
    assert read("{normalize: off}", "linear") == {"normalize": False}


def test_values_by_name_stand_in_the_order_of_the_models() -> None:
    assert read("weight: {dogs: 0.8, cats: 1}") == {"weight": (1, 0.8)}
    assert read("weight: [1, 0.8]") == {"weight": (1, 0.8)}
    assert read("weight: {dogs: 0.8, cats: 1}", names=Names(("dogs", "cats"))) == {
        "weight": (0.8, 1)
    }


def test_a_number_can_change_over_layers_for_all_models_or_for_one() -> None:
    assert read("density: {from: 0.2, to: 0.8}") == {"density": Gradient(0.2, 0.8)}
    assert read("density: {cats: 0.5, dogs: {from: 1, to: 0}}") == {
        "density": (0.5, Gradient(1.0, 0.0))
    }
    assert read("t: {from: 0, to: 1}", "slerp") == {"t": Gradient(0.0, 1.0)}


@pytest.mark.parametrize(
    ("text", "method", "said"),
    [
        ("density: 20", "ties", "got 20\n  --> pets.yaml:1\n  help: 20 % is 0.2"),
        ("weight: {cats: 1, dogs: x}", "ties", "ties: weight must be a number, got 'x'"),
        ("weight: [1, true]", "ties", "ties: weight must be a number, got True"),
        ("weight: .nan", "ties", "ties: weight must be finite, got nan"),
        ("density: [0.1, 1.1]", "ties", "ties: density must lie in [0, 1], got 1.1"),
        ("weight: [1, 2, 3]", "ties", "weight has 3 values for 2 models"),
        ("weight: {cats: 1}", "ties", "weight of dogs is missing\n  --> pets.yaml:1\n  help: "),
        ("weight: {cats: 1, dosg: 2}", "ties", "weight: 'dosg' is not a model of this recipe"),
        ("scale: [1, 2]", "ties", "scale is one value for all models, got [1, 2]"),
        ("scale: {cats: 1, dogs: 2}", "ties", "scale is one value for all models"),
        ("density:", "ties", "density must be one value, got nothing"),
        ("weight: [[1], 2]", "ties", "weight must be one value, got [1]"),
        ("density: {from: 0, to: 2}", "ties", "ties: density must lie in [0, 1], got 2"),
        ("density: {from: 0}", "ties", "density cannot be {'from': 0}\n  --> pets.yaml:1\n  help:"),
        ("density: {from: {to: 1}, to: 1}", "ties", "density must be a number, got {'to': 1}"),
        ("density: {from: a, to: 1}", "ties", "ties: density must be a number, got 'a'"),
        ("max_iter: {from: 1, to: 9}", "karcher", "max_iter cannot be {'from': 1, 'to': 9}"),
        ("max_iter: 1.5", "karcher", "karcher: max_iter must be a whole number, got 1.5"),
        ("normalize: model", "ties", "'model'\n  --> pets.yaml:1\n  help: did you mean 'models'?"),
        ("normalize: no", "ties", "ties: normalize must be one of models, weights, none, got 'no'"),
        ("normalize: 1", "linear", "linear: normalize must be true or false, got 1"),
    ],
)
def test_what_a_parameter_cannot_be_is_said(text: str, method: str, said: str) -> None:
    assert said in fault(text, method)


def test_every_fault_is_told_at_once() -> None:
    said = fault("weight: {cat: 1, dogs: x}\ndensity: 20\nscale: [1]\n").splitlines()
    assert said[0] == "4 faults in pets.yaml" and said[1].startswith("  line 1  weight: 'cat' is")


def test_without_models_their_names_are_not_judged() -> None:
    unknown = Names(None)
    assert read("weight: {a: 1, b: 2, c: 3}", names=unknown) == {"weight": (1, 2, 3)}
    assert "density must lie in" in fault("density: [1, 2, 3]", names=unknown)

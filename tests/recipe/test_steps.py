from __future__ import annotations

from pathlib import Path

import pytest

from alnico.errors import RecipeError
from alnico.recipe.faults import Faults
from alnico.recipe.parts import MergeStep, Rule
from alnico.recipe.reading import Names
from alnico.recipe.steps import MOST_RULES, Scope, read_step
from alnico.recipe.yaml_text import parse_documents

HERE = Path("pets.yaml")
PETS = Names(("cats", "dogs", "wolves"))


def read(text: str, *, names: Names = PETS, has_base: bool = True) -> MergeStep | None:
    faults = Faults(HERE)
    found = read_step(parse_documents(text, HERE)[0], Scope(names, has_base, 9), faults)
    faults.check()
    return found


def fault(text: str, *, names: Names = PETS, has_base: bool = True) -> str:
    with pytest.raises(RecipeError) as error:
        read(text, names=names, has_base=has_base)
    return str(error.value)


def test_a_step_is_a_method_with_its_parameters_and_rules() -> None:
    text = """
    merge:
      method: ties
      models: [dogs, cats]
      weight: {cats: 1, dogs: 2}
      where:
        - {match: "head.*", keep: base}
        - {match: "*.bias", density: 1, weight: [0, 1]}
        - {match: 1, keep: cats}
    """
    rules = (
        Rule("head.*", keep="base"),
        Rule("*.bias", {"density": 1, "weight": (0, 1)}),
        Rule("1", keep="cats"),
    )
    found = read(text)
    assert found == MergeStep("ties", ("dogs", "cats"), {"weight": (2, 1)}, rules)
    assert found.line == 3 and [rule.line for rule in found.where] == [7, 8, 9]


def test_all_models_of_the_recipe_are_merged_unless_said_otherwise() -> None:
    assert read("merge: {method: linear}", has_base=False) == MergeStep("linear", PETS.models or ())


def test_a_verb_that_is_not_there_yet_is_said() -> None:
    assert fault("align: {method: permutation, to: cats}").startswith(
        "there is no step 'align' in this version; steps are merge\n  --> pets.yaml:1"
    )
    for text in ("merge", "[merge]", "{merge: {}, align: {}}", "{}"):
        assert "a step is a mapping with one verb, got" in fault(text)
    assert "merge must be a mapping, got 'ties'" in fault("merge: ties")


def test_a_method_is_asked_for_and_a_misspelt_one_corrected() -> None:
    assert "merge has no method\n  --> pets.yaml:1\n  help: alnico methods" in fault("merge: {}")
    assert "did you write 'metod' for it?" in fault("merge: {metod: ties}")
    assert "method must be a text, got nothing" in fault("merge: {method: }")
    assert fault("merge:\n  method: tise\n") == (
        "there is no merge method 'tise'\n  --> pets.yaml:2\n  help: did you mean 'ties'?"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "densty: 0.1",
            "ties has no parameter 'densty'\n  --> pets.yaml:3\n  help: did you mean 'd",
        ),
        ("models: cats", "models must be a list of names, got 'cats'"),
        ("models: []", "models must be a list of names, got []"),
        ("models: [cats, cat]", "models: 'cat' is not a model of this recipe"),
        ("models: [cats, cats]", "models: 'cats' is there twice"),
        ("models: [[cats]]", "models must be a text, got ['cats']"),
        ("where: {}", "where must be a list of rules, got {}"),
        ("where: [x]", "a rule must be a mapping, got 'x'"),
        ("where: [{keep: cats}]", "a rule must say which tensors it is for"),
        ("where: [{match: x}]", "a rule must say what is different"),
        ("where: [{match: [x], keep: cats}]", "match must be a text, got ['x']"),
        ("where: [{match: x, keep: cat}]", "keep: 'cat' is not a model of this recipe"),
        ("where: [{match: x, keep: }]", "keep must be a text, got nothing"),
        ("where: [{match: x, densty: 1}]", "a rule has no key 'densty'"),
        ("where: [{match: x, density: 2}]", "ties: density must lie in [0, 1], got 2"),
        ("where: [{match: x, keep: cats, density: 1}]", "a tensor that is kept has no density"),
        ("models: [cats]\n  where: [{match: x, keep: dogs}]", "'dogs' is not a model of this step"),
        ("models: [cats]\n  weight: {dogs: 1}", "'dogs' is not a model of this step"),
    ],
)
def test_what_is_wrong_in_a_step_is_said(arguments: str, said: str) -> None:
    assert said in fault(f"merge:\n  method: ties\n  {arguments}\n")


def test_patterns_and_rules_are_bounded() -> None:
    long = f"merge: {{method: ties, where: [{{match: {'y' * 501}, keep: cats}}]}}"
    assert "match has 501 characters, more than 500" in fault(long)
    rules = "    - {match: x, keep: cats}\n" * (MOST_RULES + 1)
    assert "where has 1001 rules, more than 1000" in fault(
        f"merge:\n  method: ties\n  where:\n{rules}"
    )


def test_a_base_is_asked_for_where_it_is_needed() -> None:
    assert fault("merge:\n  method: ties\n", has_base=False) == (
        "ties merges changes from a base, and there is none\n  --> pets.yaml:2\n"
        "  help: give the model that all came from: base: PATH"
    )
    kept = "merge: {method: linear, where: [{match: x, keep: base}]}"
    assert "keep: this recipe has no base" in fault(kept, has_base=False)


def test_a_base_that_nothing_needs_is_a_fault_where_it_stands() -> None:
    assert fault("merge: {method: linear}") == (
        "linear has no use for a base\n  --> pets.yaml:9\n  help: leave it out"
    )
    assert read("merge: {method: linear, where: [{match: x, keep: base}]}")
    assert read("merge: {method: multislerp}") and read(
        "merge: {method: multislerp}", has_base=False
    )


def test_the_number_of_models_is_the_method_s() -> None:
    assert "slerp merges 2 models, got 3" in fault("merge: {method: slerp}", has_base=False)
    assert read("merge: {method: slerp, models: [dogs, cats]}", has_base=False)
    assert "merges 2 or more models, got 1" in fault("merge: {method: model_stock, models: [cats]}")


def test_without_models_nothing_is_said_of_their_names_or_number() -> None:
    text = "merge: {method: slerp, t: 2, where: [{match: x, keep: whom}]}"
    assert fault(text, names=Names(None), has_base=False).startswith("slerp: t must lie in [0, 1]")

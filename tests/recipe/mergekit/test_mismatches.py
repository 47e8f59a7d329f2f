from __future__ import annotations

import pytest

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.steps import Form
from alnico.recipe.mergekit.mismatches import Mismatches


def test_nothing_found_is_no_error() -> None:
    Mismatches().check("ties")


def test_a_parameter_that_is_missing_is_named_with_its_model_and_tensors() -> None:
    found = Mismatches(unset={("weight", "cats"): [f"w{i}" for i in range(8)], ("t", ""): ["v"]})
    with pytest.raises(RecipeError) as error:
        found.check("ties")
    assert str(error.value).splitlines() == [
        "ties needs weight, and nothing sets it for cats: w0, w1, w2, w3, w4, w5, ... 2 more",
        "ties needs t, and nothing sets it: v",
        "  help: set it under parameters, of one model or of all",
    ]


def test_models_that_do_not_fit_are_told_with_what_else_is_wrong() -> None:
    found = Mismatches(wrong={"density must lie in [0, 1], got 20": "w"})
    found.absent |= {"x": ["cats"], "y": ["cats"], "z": ["cats", "dogs"]}
    found.unlike["weight"] = {"cats": Form("F32", (2, 3)), "dogs": Form("F32", (2, 4))}
    with pytest.raises(IncompatibleModelsError) as error:
        found.check("ties")
    assert str(error.value).splitlines() == [
        "not in cats: x, y",
        "not in cats and dogs: z",
        "the models differ in the form of 1 tensor",
        "  weight    cats F32 [2, 3]    dogs F32 [2, 4]",
        "density must lie in [0, 1], got 20 (w)",
        "  help: merging needs one architecture and equal widths",
    ]


def test_vocabularies_have_a_way_out_of_their_own() -> None:
    forms = {"cats": Form("F32", (16, 8)), "dogs": Form("F32", (18, 8))}
    found = Mismatches(vocabulary={f"embed{i}": forms for i in range(8)})
    with pytest.raises(IncompatibleModelsError) as error:
        found.check("ties")
    lines = str(error.value).splitlines()
    assert lines[0] == "the models differ in the number of tokens of 8 tensors"
    assert lines[1] == "  embed0    cats F32 [16, 8]    dogs F32 [18, 8]"
    assert lines[7] == "  ... 2 more"
    assert lines[8].startswith("  help: join the vocabularies with tokenizer_source: union")

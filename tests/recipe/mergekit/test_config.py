from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alnico.recipe.mergekit.config import KeyPath, changed_config, uncounted, value_at
from alnico.recipe.mergekit.models import describe
from alnico.recipe.mergekit.schema import MergekitRecipe

STACKED = """\
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [1, 4]}]
"""
MODULES = """\
merge_method: passthrough
modules:
  vision_tower:
    slices: [{sources: [{model: a, layer_range: [0, 1]}]}]
  text_decoder:
    slices: [{sources: [{model: a, layer_range: [0, 3]}]}]
"""

Change = Callable[..., dict[KeyPath, object]]


@pytest.fixture
def change(read: Callable[..., MergekitRecipe], header: Callable[..., Any]) -> Change:
    def change(text: str, **configs: Any) -> dict[KeyPath, object]:
        recipe = read(text)
        models = {one: describe(str(one), header({}, configs[str(one)])) for one in recipe.models}
        return changed_config(recipe, models, models[recipe.models[0]], [])

    return change


def test_the_number_of_layers_is_changed_wherever_it_is_said(change: Change) -> None:
    gpt = {"n_layer": 4, "n_head": 4}
    assert change(STACKED, a=gpt, b=gpt) == {("n_layer",): 5}


def test_values_of_each_layer_follow_the_layers(change: Change) -> None:
    a = {"num_hidden_layers": 4, "layer_types": ["full", "slide", "full", "slide"]}
    b = {"num_hidden_layers": 4, "layer_types": ["slide", "full", "full", "full"]}
    assert change(STACKED, a=a, b=b) == {
        ("num_hidden_layers",): 5,
        ("layer_types",): ["full", "slide", "full", "full", "full"],
    }


def test_each_module_has_its_own_number(change: Change) -> None:
    a = {
        "text_config": {"num_hidden_layers": 2},
        "vision_config": {"num_hidden_layers": 2, "depth": 2},
    }
    assert change(MODULES, a=a) == {
        ("vision_config", "num_hidden_layers"): 1,
        ("vision_config", "depth"): 1,
        ("text_config", "num_hidden_layers"): 3,
    }


def test_a_module_without_a_config_of_its_own_has_that_of_all(change: Change) -> None:
    a = {"num_hidden_layers": 2, "vision_config": {"depth": 2}}
    assert change(MODULES, a=a) == {("vision_config", "depth"): 1, ("num_hidden_layers",): 3}


def test_whole_models_and_files_change_nothing(change: Change) -> None:
    whole = "merge_method: passthrough\nmodels: [{model: a}]\n"
    assert change(whole, a={"num_hidden_layers": 4}) == {}
    assert change(STACKED, a=None, b=None) == {}


def test_a_value_is_found_by_its_way() -> None:
    config = {"text_config": {"num_layers": 3}}
    assert value_at(config, ("text_config", "num_layers")) == 3
    assert value_at(config, ("vision_config", "depth")) is None
    assert value_at(None, ("a",)) is None


def test_layers_that_no_key_counts_are_told(
    read: Callable[..., MergekitRecipe], header: Callable[..., Any]
) -> None:
    donor = describe("cats", header({}, {"width": 3}))
    (line,) = uncounted(read(STACKED), donor, {})
    assert line == "the config of cats does not say how many layers there are: see to it"
    whole = read("merge_method: passthrough\nmodels: [{model: a}]\n")
    assert uncounted(whole, donor, {}) == uncounted(read(STACKED), donor, {("n",): 5}) == []

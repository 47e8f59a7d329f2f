from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.errors import RecipeError, UnknownNameError
from alnico.recipe import read_recipe, to_yaml
from alnico.recipe.jobs import mergekit_job, own_job, places_of, read_mergekit, sources_of
from alnico.recipe.opening import opening
from alnico.recipe.options import Options

Write = Callable[[str], Path]

TWO = """\
name: both
merge_method: linear
models: [{model: ./cats.safetensors, parameters: {weight: 1}}]
---
merge_method: ties
base_model: ./vit.safetensors
models: [{model: both, parameters: {weight: 1}}]
"""


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_the_base_of_our_own_recipes_is_the_last_model(write: Write, pets: str) -> None:
    recipe = read_recipe(write(pets))
    sources = sources_of(recipe)
    assert list(sources) == ["cats", "dogs", "base"]
    with opening(source.reference for source in sources.values()) as models:
        job = own_job(recipe, models, Options())
    assert [Path(place).stem for place in job.places] == ["cats", "dogs", "vit"]
    assert job.plan.base == 2 and job.donor == 0
    assert job.text == to_yaml(recipe, portable=True)


def test_the_models_of_mergekits_recipes_are_opened_but_for_results(write: Write) -> None:
    recipes = read_mergekit(write(TWO), Options())
    assert [recipe.name for recipe in recipes] == ["both", None]
    assert places_of(recipes) == ["./cats.safetensors", "./vit.safetensors"]


def test_a_dtype_that_is_asked_for_is_that_of_the_last_result_and_is_said(write: Write) -> None:
    earlier, last = read_mergekit(write(TWO), Options(dtype="bfloat16"))
    assert (earlier.out_dtype, last.out_dtype) == (None, "BF16")
    assert last.said[-1] == "the output is bfloat16, as --dtype asks"


def test_which_of_several_is_the_result_must_be_clear(write: Write) -> None:
    with pytest.raises(RecipeError, match="each of 2 recipes has a name") as caught:
        read_mergekit(write(TWO + "name: last\n"), Options())
    assert caught.value.help == "leave out the name of the one that -o is"


def test_the_integers_of_a_model_are_asked_for_by_its_name(write: Write, pets: str) -> None:
    recipe = read_recipe(write(pets))
    with opening(source.reference for source in sources_of(recipe).values()) as models:
        assert own_job(recipe, models, Options(integers_from="dogs")).plan.said == ()
        with pytest.raises(UnknownNameError, match="'dgos' is not one of the models"):
            own_job(recipe, models, Options(integers_from="dgos"))
    (one,) = read_mergekit(write(TWO.partition("---\n")[0]), Options())
    with opening(places_of([one])) as models:
        options = Options(integers_from="./cats.safetensors", seed=5, shard_size=9)
        job = mergekit_job(one, models, options, {})
    assert (job.plan.seed, job.shard_size, job.text) == (5, 9, TWO.partition("---\n")[0])
    assert job.planned is not None and job.planned.config_donor == job.donor

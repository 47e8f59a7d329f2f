from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from alnico import progress
from alnico.errors import DataError, OutputError, RecipeError
from alnico.recipe import from_flags, run
from alnico.recipe.options import Options
from alnico.recipe.run import run_recipe

Write = Callable[[str], Path]

STAGES = """\
name: both
merge_method: linear
models:
  - {model: ./cats.safetensors, parameters: {weight: 1}}
  - {model: ./dogs.safetensors, parameters: {weight: 1}}
---
name: more
merge_method: linear
models:
  - {model: both, parameters: {weight: 1}}
  - {model: ./vit.safetensors, parameters: {weight: 1}}
---
merge_method: linear
models:
  - {model: more, parameters: {weight: 1}}
  - {model: both, parameters: {weight: 3}}
"""


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def load(name: str) -> dict[str, np.ndarray]:
    return load_file(f"{name}.safetensors")


def interrupt(patch: pytest.MonkeyPatch, call: int) -> list[Path]:
    """Let the n-th merge be interrupted; gives the places of all."""
    places: list[Path] = []
    write = run.write_plan

    def stopping(plan: Any, models: Any, place: Path, order: Any) -> Any:
        places.append(place)
        if len(places) == call:
            raise KeyboardInterrupt
        return write(plan, models, place, order)

    patch.setattr(run, "write_plan", stopping)
    return places


def test_rules_weights_and_the_base_are_those_of_the_recipe(write: Write, pets: str) -> None:
    lines = pets.replace("method: ties", "method: task_arithmetic").splitlines(keepends=True)
    record = run_recipe(write("".join(line for line in lines if "density" not in line)))
    assert Path("pets/run.json").is_file()
    assert record["method"] == "task_arithmetic"
    cats, dogs, vit = load("cats"), load("dogs"), load("vit")
    found = load("pets/model")
    assert np.array_equal(found.pop("head.weight"), cats["head.weight"])
    for name, merged in found.items():
        expected = vit[name] + (cats[name] - vit[name]) + 0.8 * (dogs[name] - vit[name])
        np.testing.assert_allclose(merged, expected, rtol=1e-5, atol=1e-6)


def test_a_recipe_that_was_read_or_made_of_flags_runs_too() -> None:
    recipe = from_flags(["cats.safetensors", "dogs.safetensors"], "linear")
    record = run_recipe(recipe, "out.safetensors", options=Options(seed=7, sha256=True))
    assert record["seed"] == 7 and "seed: 7" in str(record["recipe"])
    mean = (load("cats")["head.weight"] + load("dogs")["head.weight"]) / 2
    np.testing.assert_allclose(load("out")["head.weight"], mean, rtol=1e-6)
    with pytest.raises(RecipeError, match="where is the merged model to be written"):
        run_recipe(recipe)


def test_results_of_earlier_recipes_are_models_of_later_ones(write: Write) -> None:
    record = run_recipe(write(STAGES), "out.safetensors")
    assert [model["path"] for model in record["models"]] == ["more", "both"]
    both = (load("cats")["embed.weight"] + load("dogs")["embed.weight"]) / 2
    more = (both + load("vit")["embed.weight"]) / 2
    expected = (more + 3 * both) / 4
    np.testing.assert_allclose(load("out")["embed.weight"], expected, rtol=1e-5, atol=1e-6)
    assert not Path(".out.safetensors.stages").exists()


def test_after_an_interrupt_finished_recipes_are_not_run_again(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(STAGES)
    run_recipe(path, "whole.safetensors")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 3)
        run_recipe(path, "out.safetensors")
    assert Path(".out.safetensors.stages/more/model.safetensors").is_file()
    told: list[str] = []
    with monkeypatch.context() as patch, progress.listen(lambda e: told.append(e.phase.text)):
        places = interrupt(patch, 0)
        run_recipe(path, "out.safetensors", options=Options(resume=True))
    assert [str(place) for place in places] == ["out.safetensors"]
    assert "both was finished before" in told and "more was finished before" in told
    assert Path("out.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()
    assert not Path(".out.safetensors.stages").exists()


def test_a_result_of_other_models_is_not_gone_on_with(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(STAGES)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 2)
        run_recipe(path, "out.safetensors")
    path.write_text(STAGES.replace("weight: 1", "weight: 2", 1))
    places = interrupt(monkeypatch, 0)
    run_recipe(path, "out.safetensors", options=Options(resume=True))
    assert [place.name for place in places] == ["both", "more", "out.safetensors"]


def test_kept_results_are_not_replaced_unless_that_is_asked(write: Write) -> None:
    options = Options(stages=Path("kept"))
    path = write(STAGES)
    run_recipe(path, "out.safetensors", options=options)
    assert json.loads(Path("kept/more/run.json").read_text())["models"][0]["path"] == "both"
    with pytest.raises(OutputError, match="kept/both is there already"):
        run_recipe(path, "other.safetensors", options=options)
    run_recipe(path, "other.safetensors", options=Options(stages=Path("kept"), force=True))


def test_a_pinned_file_must_be_itself_before_a_tensor_is_read(write: Write, pets: str) -> None:
    pinned = pets.replace("dogs.safetensors}", f"dogs.safetensors, sha256: {'0' * 64}}}")
    with pytest.raises(DataError, match="is not the file of the recipe"):
        run_recipe(write(pinned))
    assert not Path("pets").exists()


def test_the_output_is_looked_at_before_models_are_hashed_or_merged(
    write: Write, pets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pets").mkdir()
    Path("pets/diary.txt").touch()
    monkeypatch.setattr(run, "own_job", None)
    with pytest.raises(OutputError, match="holds no model, so it is not replaced"):
        run_recipe(write(pets), options=Options(force=True))


def test_one_recipe_of_mergekits_has_no_stages(write: Write) -> None:
    one = write(STAGES.partition("---\n")[0])
    with pytest.raises(RecipeError, match="has one recipe, and so no --stages"):
        run_recipe(one, "out.safetensors", options=Options(stages=Path("kept")))
    assert run_recipe(one, "out.safetensors")["method"] == "linear"

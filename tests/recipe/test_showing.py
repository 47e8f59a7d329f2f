from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from alnico.checkpoint.downloads import Download
from alnico.errors import OutputError
from alnico.recipe import from_flags, read_recipe, showing
from alnico.recipe.options import Options
from alnico.recipe.run import run_recipe
from alnico.recipe.showing import foresee

Write = Callable[[str], Path]

STAGES = """\
name: both
merge_method: linear
models:
  - {model: ./cats.safetensors, parameters: {weight: 1}}
  - {model: ./dogs.safetensors, parameters: {weight: 1}}
---
merge_method: ties
base_model: ./vit.safetensors
models: [{model: both, parameters: {weight: 1}}]
"""


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A hub whose models are here if this says so."""
    here: dict[str, Path] = {}
    monkeypatch.setattr(showing, "find_here", lambda name: here.get(name.repo))
    monkeypatch.setattr(showing, "size_up", lambda name: Download(name.repo, "5f0c", 4, 2**30))
    return here


def test_what_is_foreseen_is_what_the_run_then_does(write: Write, pets: str) -> None:
    path = write(pets)
    (merge,) = foresee(path, Path("pets")).merges
    assert not Path("pets").exists()
    record = run_recipe(path)
    done = record["tensors"]
    assert [(fate.what, fate.tensors) for fate in merge.fates] == [
        ("merge", len(done["merged"])),
        ("copy", len(done["copied"])),
    ]
    assert (len(done["merged"]), done["copied"]) == (11, ["head.weight"])
    assert merge.needs.written == sum(fate.written for fate in merge.fates)
    assert list(merge.models) == [m["path"] for m in record["models"]]
    assert merge.fates[0].how == "ties, by tensor"
    assert merge.fates[1].how == f"from {Path('cats.safetensors').absolute()}"


def test_a_result_is_foreseen_where_a_later_recipe_takes_it(write: Write) -> None:
    first, last = foresee(write(STAGES)).merges
    assert (first.name, last.name) == ("both", None)
    assert last.models == ("both", "./vit.safetensors")
    assert last.needs.read == 2 * first.needs.written
    assert last.layers == {"blocks.": 5}
    assert sorted(path.name for path in Path().iterdir() if "safetensors" not in path.name) == [
        "pets.yaml"
    ]


def test_the_output_is_looked_at_if_it_is_given(write: Write, pets: str) -> None:
    with pytest.raises(OutputError, match="is an input itself"):
        foresee(write(pets), Path("vit.safetensors"), options=Options(force=True))
    with pytest.raises(OutputError, match="is there already"):
        foresee(write(STAGES), Path("pets.yaml"))


def test_models_that_are_not_here_are_sized_up_and_not_fetched(
    write: Write, pets: str, hub: dict[str, Path]
) -> None:
    remote = pets.replace("./cats.safetensors", "org/cats@main")
    found = foresee(write(remote))
    assert found.merges == ()
    assert found.downloads == (Download("org/cats", "5f0c", 4, 2**30),)
    theirs = foresee(write(STAGES.replace("./dogs.safetensors", "org/dogs@main")))
    assert [download.repo for download in theirs.downloads] == ["org/dogs"]


def test_models_that_were_fetched_before_are_read(
    write: Write, pets: str, hub: dict[str, Path]
) -> None:
    hub["org/cats"] = Path("cats.safetensors")
    recipe = read_recipe(write(pets.replace("./cats.safetensors", "org/cats@main")))
    (merge,) = foresee(recipe).merges
    assert merge.models[0] == "org/cats@main"
    assert merge.needs == foresee(read_recipe(write(pets))).merges[0].needs


def test_options_change_what_is_foreseen() -> None:
    recipe = from_flags(["cats.safetensors", "dogs.safetensors"], "linear")
    (merge,) = foresee(recipe, options=Options(dtype="bfloat16")).merges
    (whole,) = foresee(replace(recipe)).merges
    assert 2 * merge.needs.written == whole.needs.written

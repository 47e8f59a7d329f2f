from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from alnico.checkpoint.locate import Place
from alnico.errors import RecipeError, UnknownNameError
from alnico.merging.scores import Scores
from alnico.recipe import Options, from_flags, run_recipe
from alnico.recipe.judged import prepare_judge

SCORE = """\
from safetensors.numpy import load_file

def largest(model):
    file = model / "model.safetensors" if model.is_dir() else model
    return {name: float(abs(t).max()) for name, t in load_file(file).items() if "embed" in name}
"""
THEIRS = """\
merge_method: task_arithmetic
base_model: ./vit.safetensors
models:
  - {model: ./vit.safetensors}
  - {model: ./cats.safetensors, parameters: {weight: 0.5}}
  - {model: ./dogs.safetensors, parameters: {weight: 0.25}}
"""
TWO = """\
name: pair
merge_method: slerp
base_model: ./cats.safetensors
models: [{model: ./cats.safetensors}, {model: ./dogs.safetensors}]
parameters: {t: 0.5}
---
merge_method: linear
models:
  - {model: pair, parameters: {weight: 3}}
  - {model: ./vit.safetensors, parameters: {weight: 1}}
"""


@pytest.fixture
def words(folder: Path) -> str:
    (folder / "score.py").write_text(SCORE)
    return f"{folder / 'score.py'}:largest"


def largest(path: Path) -> float:
    return float(abs(load_file(path)["embed.weight"]).max())


def rows(scores: Scores) -> list[tuple[str, str]]:
    return [(row.name, row.kind) for row in scores.rows]


def test_a_recipe_calls_its_models_by_their_names_and_the_record_keeps_the_scores(
    write: Callable, pets: str, folder: Path, words: str
) -> None:
    path = write(pets.replace("cats:", "tabby:", 1).replace("{cats:", "{tabby:"))
    path.write_text(path.read_text().replace("keep: cats", "keep: tabby"))
    judge = prepare_judge(words, path, Options())
    record = run_recipe(path, options=Options())
    scores = judge(record)
    assert rows(scores) == [
        ("base", "base"),
        ("tabby", "parent"),
        ("dogs", "parent"),
        ("average", "average"),
        ("pets", "merge"),
    ]
    found = [row.scores["embed.weight"] for row in scores.rows]
    assert found[:3] == [
        largest(folder / f"{name}.safetensors") for name in ("vit", "cats", "dogs")
    ]
    noted = json.loads((folder / "pets" / "run.json").read_text())
    assert noted.pop("scores") == {
        "function": words,
        "sha256": hashlib.sha256(SCORE.encode()).hexdigest(),
        "rows": scores.as_records(),
    }
    assert noted == json.loads(json.dumps(record))
    assert not list(folder.rglob(".*"))


def test_a_merge_of_flags_into_a_file_has_its_scores_beside_it(folder: Path, words: str) -> None:
    models = [str(folder / f"{name}.safetensors") for name in ("cats", "dogs")]
    asked = from_flags(models, "slerp", parameters={"t": 0.25})
    record = run_recipe(asked, folder / "out.safetensors", options=Options())
    scores = prepare_judge(words, asked, Options())(record)
    assert rows(scores) == [
        ("cats", "parent"),
        ("dogs", "parent"),
        ("average", "average"),
        ("out", "merge"),
    ]
    noted = json.loads((folder / "out.run.json").read_text())["scores"]
    assert noted["rows"][3]["scores"] == {"embed.weight": largest(folder / "out.safetensors")}


def test_models_of_one_name_are_called_by_their_paths(folder: Path, words: str) -> None:
    places = []
    for name in ("cats", "dogs"):
        (folder / name).mkdir()
        (folder / f"{name}.safetensors").rename(folder / name / "model.safetensors")
        places.append(str(folder / name / "model.safetensors"))
    recipe = folder / "recipe.yml"
    models = "".join(f"- {{model: {place}, parameters: {{weight: 1}}}}\n" for place in places)
    recipe.write_text(f"merge_method: linear\nmodels:\n{models}")
    record = run_recipe(recipe, folder / "out", options=Options())
    scores = prepare_judge(words, recipe, Options())(record)
    assert [row.name for row in scores.rows] == [*places, "out"]  # which is the uniform average


def test_the_base_of_a_mergekit_recipe_is_no_parent(folder: Path, words: str) -> None:
    recipe = folder / "theirs.yml"
    recipe.write_text(THEIRS)
    record = run_recipe(recipe, folder / "out", options=Options())
    scores = prepare_judge(words, recipe, Options())(record)
    assert rows(scores) == [
        ("base", "base"),
        ("cats", "parent"),
        ("dogs", "parent"),
        ("average", "average"),
        ("out", "merge"),
    ]


def test_results_that_a_recipe_takes_are_scored_where_they_are_kept(
    folder: Path, words: str
) -> None:
    recipe = folder / "two.yml"
    recipe.write_text(TWO)
    with pytest.raises(RecipeError, match="results of recipes of its own") as error:
        prepare_judge(words, recipe, Options())
    assert error.value.help == "--stages FOLDER"
    kept = Options(stages=folder / "kept")
    judge = prepare_judge(words, recipe, kept)
    scores = judge(run_recipe(recipe, folder / "out", options=kept))
    assert rows(scores) == [
        ("pair", "parent"),
        ("vit", "parent"),
        ("average", "average"),
        ("out", "merge"),
    ]
    pair = largest(folder / "kept" / "pair" / "model.safetensors")
    assert scores.rows[0].scores["embed.weight"] == pair


def test_a_score_that_cannot_be_loaded_is_refused_before_anything_is_merged(
    write: Callable, pets: str, words: str
) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'largest'"):
        prepare_judge(words.replace("largest", "larges"), write(pets), Options())


def test_a_model_of_the_hub_is_scored_at_the_commit_that_was_merged(
    folder: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = from_flags([folder / f"{name}.safetensors" for name in ("cats", "dogs")], "linear")
    record = run_recipe(asked, folder / "out", options=Options())
    monkeypatch.setattr("alnico.merging.judging.locate", here := Here(folder / "vit.safetensors"))
    models = [
        {"path": "org/cats@main", "revision": "abc"},
        {"path": "org/dogs", "revision": "def"},
    ]
    prepare_judge(words, asked, Options())({**record, "models": models})
    assert here.asked[:2] == ["org/cats@abc", "org/dogs@def"]


class Here:
    """Finds every model in one file, and remembers what was asked for."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.asked: list[str] = []

    def __call__(self, path: str) -> Place:
        self.asked.append(path)
        return Place(self.file, None)

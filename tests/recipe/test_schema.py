from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.errors import RecipeError
from alnico.recipe.native import read_recipe
from alnico.recipe.parts import MergeStep, Recipe, Rule, Setting, Source
from alnico.recipe.schema import check_recipe
from alnico.recipe.yaml_text import parse_documents

Write = Callable[[str], Path]


def fault(path: Path) -> str:
    with pytest.raises(RecipeError) as error:
        read_recipe(path)
    return str(error.value)


def test_a_recipe_is_read_as_it_stands(pets: str, folder: Path, write: Write) -> None:
    path = write(pets + "seed: 3\ndtype: bfloat16\nshard_size: 2GB\n")
    rules = (Rule("blocks.*.attn.*", {"density": 0.5}), Rule("head.*", keep="cats"))
    settings: dict[str, Setting] = {"weight": (1.0, 0.8), "density": 0.3}
    assert read_recipe(path) == Recipe(
        path=path,
        models={
            name: Source(f"./{name}.safetensors", folder / f"{name}.safetensors")
            for name in ("cats", "dogs")
        },
        base=Source("./vit.safetensors", folder / "vit.safetensors"),
        merge=MergeStep("ties", ("cats", "dogs"), settings, rules),
        seed=3,
        output=folder / "pets",
        dtype="bfloat16",
        shard_size=2 * 10**9,
    )


def test_models_can_be_a_list_and_are_called_by_their_paths(write: Write) -> None:
    text = "alnico: 1\nmodels: [cats.safetensors, {path: ./dogs.safetensors}, org/big@v1]\n"
    recipe = read_recipe(write(text + "steps: [{merge: {method: linear}}]\n"))
    assert list(recipe.models) == ["cats", "dogs", "big"] == list(recipe.merge.models)
    assert recipe.models["big"].reference == "org/big@v1"


def test_a_digest_and_a_revision_are_kept(write: Write) -> None:
    digest = "1234567890" * 6 + "1234"
    text = f"""
    alnico: 1
    models:
      cats: {{path: cats.safetensors, sha256: {digest}}}
      big: {{path: org/big, revision: 1e10}}
    steps: [{{merge: {{method: linear}}}}]
    """
    models = read_recipe(write(text)).models
    assert models["cats"].sha256 == digest and models["big"].revision == "1e10"


def test_every_fault_is_told_at_once(folder: Path, write: Write) -> None:
    path = write("""\
alnico: 1
models:
  cats: ./cast.safetensors
  dogs: {path: ./dogs.safetensors, sha: 3}
base: ../vit.safetensors
sed: 7
dtype: float31
steps:
  - merge:
      method: ties
      weight: {cats: 1.0, dosg: 0.8}
      density: 20
  - align: {to: cats}
output: ../pets
""")
    assert fault(path).splitlines() == [
        f"9 faults in {path}",
        "  line 3   cats: there is no model './cast.safetensors'",
        "           did you mean './cats.safetensors'?",
        "  line 4   dogs has no key 'sha'     did you mean 'sha256'?",
        "  line 5   base: '../vit.safetensors' leaves the folder of the recipe",
        "           write the whole path, or put the recipe beside its models",
        "  line 6   a recipe has no key 'sed'     did you mean 'seed'?",
        "  line 7   dtype cannot be 'float31'     did you mean 'float32'?",
        "  line 11  weight: 'dosg' is not a model of this recipe     did you mean 'dogs'?",
        "  line 12  ties: density must lie in [0, 1], got 20     20 % is 0.2",
        "  line 13  there is no step 'align' in this version; steps are merge",
        "  line 14  output: '../pets' leaves the folder of the recipe",
        "           write the whole path, or put the recipe beside its models",
        "  nothing was read or written",
    ]
    assert len(list(folder.iterdir())) == 4  # three models and the recipe


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("alnico: 1\n", "", "the recipe has no key 'alnico'"),
        ("alnico: 1", "alnico: 2", "this alnico reads recipes of format 1, got 2"),
        ("alnico: 1", "alnico: yes", "this alnico reads recipes of format 1, got True"),
        ("output: ./pets", "output: [pets]", "output must be a text, got ['pets']"),
        ("output: ./pets", "output: ", "output must be a text, got nothing"),
        ("output: ./pets", "seed: -1", "seed must be a whole number from 0 on, got -1"),
        ("output: ./pets", "shard_size: x", "shard_size must be a size, got 'x'"),
        ("output: ./pets", "merge_method: ties", "a recipe has no key 'merge_method'"),
        ("  cats: ./cats", "  base: ./cats", "no model can be called 'base'"),
        ("  cats: ./cats", "  from: ./cats", "no model can be called 'from'"),
        ("./cats.safe", "./dogs.safe", "dogs and cats are the same model"),
        ("{path: ./dogs.safetensors}", "{revision: a}", "dogs has no path"),
        ("{path: ./dogs.safetensors}", "[a]", "the path of dogs must be a text, got ['a']"),
        ("dogs.safetensors}", "dogs.safetensors, sha256: 12}", "sha256 must be 64 digits"),
        ("dogs.safetensors}", "dogs.safetensors, revision: x}", "is on disk, and has no revision"),
        ("base: ./vit.safetensors\n", "", "ties merges changes from a base, and there is none"),
        ("base: ./vit.safetensors", "base: cats", "base: there is no model 'cats'"),
    ],
)
def test_one_fault_is_told_alone(old: str, new: str, said: str, pets: str, write: Write) -> None:
    assert pets.count(old) == 1
    assert said in fault(write(pets.replace(old, new)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: 3\nsteps: []\n", "models must be a mapping of names to paths, got 3"),
        ("models: {}\nsteps: []\n", "steps must be a list, got []"),
        ("models: [cats.safetensors, ./cats.safetensors]\n", "two models would be called 'cats'"),
        ("models: [base]\n", "no model can be called 'base'"),
        ("", "the recipe has no models"),
        ("models: [cats.safetensors]\n", "the recipe has no steps"),
    ],
)
def test_models_and_steps_must_be_there(text: str, said: str, write: Write) -> None:
    assert said in fault(write("alnico: 1\n" + text))


def test_a_digest_is_of_one_file(folder: Path, write: Write) -> None:
    (folder / "whole").mkdir()
    for place in ("./whole", "org/big"):
        models = f"models: {{a: {{path: {place}, sha256: {'a' * 64}}}}}\n"
        text = f"alnico: 1\n{models}steps: [{{merge: {{method: linear}}}}]\n"
        assert f"sha256 is of one file, and '{place}' is none" in fault(write(text))


def test_a_recipe_merges_once(pets: str, write: Write) -> None:
    twice = pets.replace("output:", "  - merge: {method: ties}\noutput:")
    assert "this version merges once a recipe" in fault(write(twice))


def test_a_recipe_is_a_mapping(write: Write) -> None:
    assert "a recipe must be a mapping, got [1]" in fault(write("[1]"))


def test_a_recipe_of_nothing_but_faults_takes_no_time(folder: Path) -> None:
    models = "".join(f"  m{i}: ./m{i}\n" for i in range(1000))
    weights = ", ".join(f"n{i}: 1" for i in range(1000))
    keys = "".join(f"key{i}: 1\n" for i in range(20_000))
    many = f"alnico: 1\nmodels:\n{models}{keys}"
    step = f"alnico: 1\nmodels:\n{models}steps:\n- merge: {{method: ties, weight: {{{weights}}}}}\n"
    crowd = "alnico: 1\nmodels:\n" + "".join(f"  m{i}: ./m{i}\n" for i in range(1001))
    start = time.process_time()
    for text in (many, step, crowd):
        document = parse_documents(text, folder / "pets.yaml")[0]
        with pytest.raises(RecipeError):
            check_recipe(document, folder / "pets.yaml")
    assert time.process_time() - start < 5

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from alnico.errors import RecipeError, UnknownNameError
from alnico.merging.vocabulary import Vocabulary
from alnico.recipe.flags import from_flags
from alnico.recipe.native import read_recipe
from alnico.recipe.parts import MergeStep
from alnico.recipe.yaml_form import to_yaml

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_flags_make_the_recipe_that_does_the_same(write: Write) -> None:
    recipe = from_flags(
        ["cats.safetensors", Path("dogs.safetensors")],
        "ties",
        base="vit.safetensors",
        parameters={"weight": torch.tensor([1.0, 0.5]), "density": 0.3},
        seed=2,
        output=Path("pets"),
        dtype="float16",
        shard_size=1000,
    )
    assert recipe.merge == MergeStep(
        "ties", ("cats", "dogs"), {"weight": (1.0, 0.5), "density": 0.3}
    )
    assert [source.reference for source in recipe.sources.values()] == [
        "cats.safetensors",
        "dogs.safetensors",
    ]
    again = read_recipe(write(to_yaml(recipe)))
    assert again.merge == recipe.merge and again.seed == 2 and again.dtype == "float16"
    assert list(again.models) == list(recipe.models) and again.base is not None


def test_models_of_one_name_are_told_apart(folder: Path) -> None:
    for name in ("a", "b", "c"):
        (folder / name).mkdir()
        (folder / f"{name}/base.safetensors").touch()
    recipe = from_flags([f"{name}/base.safetensors" for name in "abc"], "linear")
    assert list(recipe.models) == ["base_2", "base_3", "base_4"]


def test_a_path_that_a_recipe_could_not_follow_is_written_whole(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = folder / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    recipe = from_flags(["../cats.safetensors", str(folder / "dogs.safetensors")], "slerp")
    monkeypatch.chdir(folder)
    again = read_recipe(write(to_yaml(recipe)))
    for name in ("cats", "dogs"):
        place = again.models[name].path
        assert place is not None and place.samefile(folder / f"{name}.safetensors")
    assert "./cats.safetensors" in to_yaml(recipe, portable=True)


def test_names_of_a_hub_are_kept_with_their_revision() -> None:
    recipe = from_flags(["org/cats@v1", "dogs.safetensors"], "slerp", parameters={"t": 0.3})
    assert recipe.models["cats"].reference == "org/cats@v1"


def test_a_tokenizer_is_that_of_all_of_the_base_or_of_a_model(write: Write) -> None:
    models, base = ["cats.safetensors", "./dogs.safetensors"], "./vit.safetensors"
    for text, asked in (
        ("union", Vocabulary("union")),
        ("base", Vocabulary("base")),
        ("vit.safetensors", Vocabulary("base")),
        ("dogs.safetensors", Vocabulary("model", "dogs")),
        ("./cats.safetensors", Vocabulary("model", "cats")),
        ("dogs", Vocabulary("model", "dogs")),
    ):
        recipe = from_flags(models, "ties", base=base, tokenizer=text)
        assert recipe.tokenizer == asked
        assert read_recipe(write(to_yaml(recipe))).tokenizer == asked
    with pytest.raises(
        UnknownNameError, match=r"(?s)'cast\.safetensors' is not one .* mean 'cats\.saf"
    ):
        from_flags(models, "slerp", tokenizer="cast.safetensors")
    with pytest.raises(RecipeError, match="this merge has no base"):
        from_flags(models, "slerp", tokenizer="base")


def test_what_flags_cannot_mean_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ties'"):
        from_flags(["cats.safetensors"], "tise")
    with pytest.raises(RecipeError, match="slerp merges 2 models, got 1"):
        from_flags(["cats.safetensors"], "slerp")
    with pytest.raises(RecipeError, match=r"20 % is 0\.2"):
        from_flags(["cats.safetensors"], "ties", parameters={"density": 20})
    with pytest.raises(RecipeError, match=r"there is no model 'cast\.safetensors'"):
        from_flags(["cast.safetensors"], "linear")

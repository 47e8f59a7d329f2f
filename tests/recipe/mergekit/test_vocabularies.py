from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.merging.vocabulary import TokenSource, Vocabulary
from alnico.recipe.mergekit.parse import parse
from alnico.recipe.mergekit.schema import MergekitRecipe
from alnico.recipe.mergekit.vocabularies import asked_places, vocabulary_of
from alnico.recipe.yaml_text import read_yaml


@pytest.fixture
def recipe_of(tmp_path: Path) -> Callable[[str], MergekitRecipe]:
    def recipe_of(text: str) -> MergekitRecipe:
        path = tmp_path / "recipe.yml"
        models = (
            "models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 1}}]"
        )
        path.write_text(f"merge_method: linear\n{models}\n{text}\n")
        return parse(read_yaml(path), path)

    return recipe_of


def test_a_recipe_may_ask_for_nothing(recipe_of: Callable[[str], MergekitRecipe]) -> None:
    recipe = recipe_of("dtype: float32")
    assert vocabulary_of(recipe) is None and asked_places(recipe) == []


def test_a_template_alone_keeps_the_tokens(recipe_of: Callable[[str], MergekitRecipe]) -> None:
    assert vocabulary_of(recipe_of("chat_template: chatml")) == Vocabulary(
        None, chat_template="chatml"
    )


@pytest.mark.parametrize("kind", ["union", "base"])
@pytest.mark.parametrize("exact", [False, True])
def test_a_source_by_its_kind(
    kind: str, exact: bool, recipe_of: Callable[[str], MergekitRecipe]
) -> None:
    found = vocabulary_of(recipe_of(f"tokenizer_source: {kind}"), exact=exact)
    assert found == Vocabulary(kind, exact=exact)  # type: ignore[arg-type]


def test_models_are_named_by_what_they_are_opened_by(
    recipe_of: Callable[[str], MergekitRecipe], tmp_path: Path
) -> None:
    (tmp_path / "donor").mkdir()
    recipe = recipe_of(
        """
tokenizer:
  source: donor
  pad_to_multiple_of: 64
  tokens:
    <a>: {source: b, force: true}
    <b>: {source: {kind: model_token, model: stage, token_id: 3}}
    <c>: {source: {kind: model_token, model: org/other, token: x}}
    <d>: {source: {kind: zero}}
"""
    )
    place = str(tmp_path / "donor")
    assert vocabulary_of(recipe, results=["stage"]) == Vocabulary(
        "model",
        place,
        {
            "<a>": TokenSource("b", force=True),
            "<b>": TokenSource("stage", token_id=3),
            "<c>": TokenSource("org/other", token="x"),
            "<d>": TokenSource(),
        },
        64,
    )
    assert asked_places(recipe, ["stage"]) == [place, "b", "stage", "org/other"]

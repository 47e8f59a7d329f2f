from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from alnico.checkpoint.header import FLOATS
from alnico.merging.vocabulary import TokenSource, Vocabulary
from alnico.recipe.parts import DTYPES, Gradient, MergeStep, Recipe, Rule, Source

numbers = st.floats(0, 1)


@given(numbers, numbers, numbers)
def test_a_gradient_stays_between_its_ends(start: float, stop: float, t: float) -> None:
    found = Gradient(start, stop)
    assert found.at(0) == start and found.at(1) == stop
    assert min(start, stop) <= found.at(t) <= max(start, stop)
    assert abs(found.at(t) - (start + t * (stop - start))) < 1e-12


def test_a_source_is_opened_by_path_or_by_name_and_revision() -> None:
    assert Source("./cats", Path("here/cats")).reference == str(Path("here/cats"))
    assert Source("org/cats", None).reference == "org/cats"
    assert Source("org/cats", None, revision="v1").reference == "org/cats@v1"


def test_a_part_is_opened_by_its_model_and_called_by_both() -> None:
    part = Source("org/vlm", None, revision="v1", part="language_model.*")
    assert part.reference == replace(part, part=None).label == "org/vlm@v1"
    assert part.label == "org/vlm@v1 (language_model.*)"


def test_the_sources_of_a_recipe_follow_its_step() -> None:
    models = {name: Source(name, Path(name)) for name in "abc"}
    recipe = Recipe(Path("r.yaml"), models, MergeStep("linear", ("c", "a")))
    assert list(recipe.sources) == ["c", "a"] and recipe.sources["c"] is models["c"]


def test_models_that_give_tokens_alone_are_lenders() -> None:
    models = {name: Source(name, Path(name)) for name in "abcd"}
    recipe = Recipe(Path("r.yaml"), models, MergeStep("linear", ("a",)))
    rules = {
        "x": TokenSource("c"),
        "y": TokenSource("a"),
        "z": TokenSource(),
        "w": TokenSource("c"),
    }
    asked = Vocabulary("model", "b", {**rules, "v": TokenSource("base")})
    assert recipe.lenders == {}
    assert list(replace(recipe, tokenizer=asked).lenders) == ["b", "c"]
    assert replace(recipe, tokenizer=Vocabulary("union")).lenders == {}


def test_where_a_recipe_stands_is_no_part_of_what_it_says() -> None:
    step = MergeStep("linear", ("a",), where=(Rule("x", keep="a", line=3),), line=2)
    recipe = Recipe(Path("r.yaml"), {}, step)
    other = replace(step, where=(Rule("x", keep="a", line=9),), line=8)
    assert recipe == replace(recipe, path=Path("s.yaml"), merge=other)
    assert recipe != replace(recipe, seed=1)


def test_every_dtype_of_an_output_has_a_mean() -> None:
    assert set(DTYPES.values()) <= FLOATS

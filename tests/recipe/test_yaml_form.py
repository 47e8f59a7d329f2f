from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alnico.merging.vocabulary import TokenSource, Vocabulary
from alnico.recipe.native import read_recipe
from alnico.recipe.parts import Gradient, MergeStep, Recipe, Rule, Setting, Source
from alnico.recipe.yaml_form import to_yaml

Write = Callable[[str], Path]

shares = st.floats(0, 1)
ends = st.builds(Gradient, shares, shares)
own = st.one_of(shares, ends, st.tuples(shares | ends, shares | ends))
parameters: st.SearchStrategy[dict[str, Setting]] = st.fixed_dictionaries(
    {},
    optional={
        "weight": own,
        "density": own,
        "scale": st.floats(-1e30, 1e30),
        "normalize": st.sampled_from(["models", "none"]),
    },
)
patterns = st.text("ab.*?[]:-#'\"{} &1", min_size=1, max_size=9).filter(str.strip)
rules = st.builds(Rule, patterns, parameters.filter(bool)) | st.builds(
    Rule, patterns, st.just({}), st.sampled_from(["cats", "base"])
)

tokens = st.text("ab<|_>:-#'\"{} 10~", min_size=1, max_size=9).filter(str.strip)
owners = st.sampled_from(["no", "base"])
sources = st.one_of(
    st.builds(TokenSource, st.none() | owners, force=st.booleans()),
    st.builds(TokenSource, owners, tokens, force=st.booleans()),
    st.builds(TokenSource, owners, token_id=st.integers(0, 9), force=st.booleans()),
)
vocabularies = st.builds(
    Vocabulary,
    st.sampled_from(["union", "base"]),
    tokens=st.dictionaries(tokens, sources, max_size=3),
    pad_to_multiple_of=st.none() | st.integers(1, 99),
    chat_template=st.none() | st.sampled_from(["auto", "{% if a %}\n  {{ b }}\n"]),
) | st.sampled_from([Vocabulary("model", "cats"), Vocabulary(None, chat_template="auto")])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    parameters,
    st.lists(rules, max_size=3),
    st.integers(0, 2**63 - 1),
    st.none() | st.just("bfloat16"),
    st.none() | st.integers(1, 2**50),
    st.none() | vocabularies,
)
def test_reading_what_was_written_gives_the_same_recipe(
    folder: Path,
    write: Write,
    given_parameters: dict[str, Setting],
    where: list[Rule],
    seed: int,
    dtype: str | None,
    shard_size: int | None,
    tokenizer: Vocabulary | None,
) -> None:
    models = {
        name: Source(f"./{file}.safetensors", folder / f"{file}.safetensors")
        for name, file in {"cats": "cats", "no": "dogs"}.items()
    }
    recipe = Recipe(
        path=folder / "pets.yaml",
        models=models,
        merge=MergeStep("ties", ("no", "cats"), given_parameters, tuple(where)),
        base=Source("org/vit", None, revision="1e3"),
        seed=seed,
        output=folder / "pets",
        dtype=dtype,
        shard_size=shard_size,
        tokenizer=tokenizer,
    )
    assert read_recipe(write(to_yaml(recipe))) == recipe


def test_a_recipe_is_written_as_by_hand(pets: str, write: Write) -> None:
    assert (
        to_yaml(read_recipe(write(pets)))
        == """\
alnico: 1
models: {cats: ./cats.safetensors, dogs: ./dogs.safetensors}
base: ./vit.safetensors
steps:
- merge:
    method: ties
    weight: {cats: 1.0, dogs: 0.8}
    density: 0.3
    where:
    - {match: blocks.*.attn.*, density: 0.5}
    - {match: head.*, keep: cats}
output: pets
"""
    )


def test_a_portable_recipe_tells_no_path_of_this_machine(
    pets: str, folder: Path, write: Write
) -> None:
    deeper = folder / "deeper"
    deeper.mkdir()
    (folder / "cats.safetensors").rename(deeper / "model.safetensors")
    (folder / "dogs.safetensors").rename(folder / "model.safetensors")
    text = (
        pets.replace("./cats.safetensors", str(deeper / "model.safetensors"))
        .replace("./dogs.safetensors", "./model.safetensors")
        .replace("base: ./vit", f"base: {folder}/vit")
        .replace("output: ./pets", f"output: {folder}/pets")
    )
    recipe = read_recipe(write(text))
    assert str(folder) in to_yaml(recipe)
    portable = to_yaml(recipe, portable=True)
    assert str(folder) not in portable and "output" not in portable
    assert "{cats: ./cats/model.safetensors, dogs: ./dogs/model.safetensors}" in portable
    assert "base: ./vit.safetensors\n" in portable
    for name, file in {
        "cats": deeper / "model.safetensors",
        "dogs": folder / "model.safetensors",
    }.items():
        (folder / name).mkdir()
        file.rename(folder / name / "model.safetensors")
    again = read_recipe(write(portable))
    assert again.merge == recipe.merge and list(again.models) == list(recipe.models)


def test_names_of_a_hub_stay_in_a_portable_recipe(pets: str, write: Write) -> None:
    recipe = read_recipe(write(pets.replace("./vit.safetensors", "org/vit@v1")))
    assert "base: {path: org/vit, revision: v1}\n" in to_yaml(recipe, portable=True)


def test_defaults_are_not_written(pets: str, write: Write) -> None:
    recipe = read_recipe(write(pets))
    assert "seed" not in to_yaml(recipe) and "seed: 3" in to_yaml(replace(recipe, seed=3))

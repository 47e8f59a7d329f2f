from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.errors import RecipeError
from alnico.recipe.mergekit.reading import Reading
from alnico.recipe.mergekit.references import locate, read_reference
from alnico.recipe.mergekit.schema import Reference

Read = Callable[..., Reading]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user/model", Reference("user/model")),
        ("user/model@v0.1", Reference("user/model", "v0.1")),
        ("{model: user/model@v0.1}", Reference("user/model", "v0.1")),
        ("{model: {path: user/model, revision: 0.1}}", Reference("user/model", "0.1")),
    ],
)
def test_a_model_is_a_text_or_a_mapping(reading: Read, text: str, expected: Reference) -> None:
    found = reading(f"base_model: {text}")
    assert read_reference(found, ("base_model",)) == expected
    assert len(found.faults) == 0 and not found.said


def test_mergekit_reads_the_same_of_a_text(reading: Read) -> None:
    parse = pytest.importorskip("mergekit.common").ModelReference.parse
    for text in ("a", "a/b", "./a@main", "a/b@v1.0-x"):
        ours, theirs = read_reference(reading(f"m: {text}"), ("m",)), parse(text)
        assert ours == Reference(theirs.model.path, theirs.model.revision)
    for text in ("'@@@@@'", "a@b@c", "a+b+c"):
        assert read_reference(reading(f"m: {text}"), ("m",)) is None
        with pytest.raises(RuntimeError):
            parse(text.strip("'"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a@b@c", r"'a@b@c' names no model\n.*\n  help: write path or name@revision"),
        ("a@", "'a@' names no model"),
        ("a+lora", "names the adapter lora, and alnico merges no adapters yet\n.*\n.*unload"),
        ("{model: a, lora: b}", "alnico merges no adapters yet\n.*\n.*merge_and_unload"),
        ("3", "a model must be a text or a mapping, got 3"),
        ("{model: {revision: main}}", "path must be a text, got nothing"),
    ],
)
def test_what_names_no_model_is_a_fault(reading: Read, text: str, fault: str) -> None:
    found = reading(f"base_model: {text}")
    read_reference(found, ("base_model",))
    with pytest.raises(RecipeError, match=fault):
        found.faults.check()


def test_an_architecture_given_by_hand_has_no_effect(reading: Read) -> None:
    found = reading("m: {model: a, override_architecture: Llama, modle: b}")
    assert read_reference(found, ("m",)) == Reference("a")
    assert found.said == (
        "recipe.yml:1: modle is not known to mergekit, nor to alnico: did you mean model?",
        "recipe.yml:1: override_architecture has no effect: tensors are known by their names",
    )


def test_a_path_lies_here_else_beside_the_recipe_else_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here / "both", there / "both", there / "one"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert locate(Reference("both"), there) == "both"
    assert locate(Reference("one"), there) == str(there / "one")
    assert locate(Reference("org/model", "main"), there) == "org/model@main"
    assert locate(Reference("one"), None) == "one"

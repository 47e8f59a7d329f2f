from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.errors import RecipeError
from alnico.recipe.faults import Faults
from alnico.recipe.located import Located
from alnico.recipe.reading import (
    Names,
    note,
    read_choice,
    read_keys,
    read_seed,
    read_size,
    read_text,
)
from alnico.recipe.yaml_text import parse_documents

HERE = Path("pets.yaml")


def located(text: str) -> Located:
    return parse_documents(text, HERE)[0]


def fault(read: Callable[[Faults], object]) -> str:
    faults = Faults(HERE)
    read(faults)
    with pytest.raises(RecipeError) as error:
        faults.check()
    return str(error.value)


def test_known_keys_are_given_and_others_are_faults() -> None:
    at = located("a: 1\nbb: 2\n")
    faults = Faults(HERE)
    assert list(read_keys(at, ["a", "ab"], faults, what="a rule")) == ["a"]
    assert fault(lambda f: read_keys(at, ["a", "ab", "bbb"], f, what="a rule")) == (
        "a rule has no key 'bb'\n  --> pets.yaml:2\n  help: did you mean 'bbb'?"
    )
    assert "its parameters are a" in fault(
        lambda f: read_keys(at, ["a"], f, what="ties", kind="parameter")
    )
    assert fault(lambda f: read_keys(located("3"), ["a"], f, what="a rule")).startswith(
        "a rule must be a mapping, got 3"
    )


@pytest.mark.parametrize("text", ["no", "2024", "1e5", "'~'", "a b", "|\n  x"])
def test_a_text_is_what_is_written(text: str) -> None:
    at = located(text)
    assert read_text(at, Faults(HERE), what="path") == at.text


@pytest.mark.parametrize("text", ["~", "[a]", "{a: 1}", "''", "' '"])
def test_what_is_no_text_is_a_fault(text: str) -> None:
    assert "path must be a text, got" in fault(lambda f: read_text(located(text), f, what="path"))


def test_a_choice_is_one_of_a_few() -> None:
    choices = ["float32", "bfloat16"]
    assert read_choice(None, choices, Faults(HERE), what="dtype") == ""
    assert read_choice(located("float32"), choices, Faults(HERE), what="dtype") == "float32"
    said = fault(lambda f: read_choice(located("float23"), choices, f, what="dtype"))
    assert said.startswith("dtype cannot be 'float23'") and "did you mean 'float32'?" in said


def test_a_seed_is_a_whole_number_from_zero_on() -> None:
    assert read_seed(None, Faults(HERE)) == 0
    assert read_seed(located("42"), Faults(HERE)) == 42


@pytest.mark.parametrize("text", ["-1", "1.5", "true", "one", "[1]", "9223372036854775808", "~"])
def test_what_is_no_seed_is_a_fault(text: str) -> None:
    said = fault(lambda f: read_seed(located(text), f))
    assert said.startswith("seed must be a whole number from 0 on, got")


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("5GB", 5 * 10**9),
        ("1.5 GiB", 3 * 2**29),
        ("500mb", 5 * 10**8),
        ("2TB", 2 * 10**12),
        ("10KiB", 10240),
        ("7B", 7),
        ("1048576", 2**20),
    ],
)
def test_sizes_are_bytes_in_thousands_or_in_1024s(text: str, n_bytes: int) -> None:
    assert read_size(located(text), Faults(HERE), what="shard_size") == n_bytes


@pytest.mark.parametrize("text", ["0", "-5", "0GB", "5 parsec", "true", "1.5", "GB", "[5]", "~"])
def test_what_is_no_size_is_a_fault(text: str) -> None:
    said = fault(lambda f: read_size(located(text), f, what="shard_size"))
    assert said.startswith("shard_size must be a size, got") and "write it as 5GB" in said


def test_names_are_judged_only_where_they_are_known() -> None:
    faults = Faults(HERE)
    assert Names(None).has("anything", 1, faults, what="keep")
    assert Names(("cats", "dogs")).has("dogs", 1, faults, what="keep")
    faults.check()
    assert fault(lambda f: Names(("cats",), "this step").has("cat", 7, f, what="keep")) == (
        "keep: 'cat' is not a model of this step\n  --> pets.yaml:7\n  help: did you mean 'cats'?"
    )


def test_an_error_becomes_a_fault_with_its_help() -> None:
    error = RecipeError("wrong", help="do right")
    assert fault(lambda f: note(error, 3, f, what="base")) == (
        "base: wrong\n  --> pets.yaml:3\n  help: do right"
    )

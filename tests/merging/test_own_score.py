from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.errors import RecipeError, UnknownNameError
from alnico.merging.own_score import load_score

OWN = """\
from dataclasses import dataclass

@dataclass
class Sized:
    unit: "int" = 1

    def __call__(self, model):
        print("sizing", model.name)
        return model.stat().st_size / self.unit

score = Sized(2)

def fails(model, *, at=3):
    return inner(model)

def inner(model):
    raise KeyError("lost")

def two(model, data): ...

longest = max
"""


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, text: str = OWN) -> str:
        (tmp_path / "own.py").write_text(text, "utf-8")
        return f"{tmp_path / 'own.py'}:{name}"

    return write


def test_what_it_gives_is_given_and_what_it_prints_goes_to_stderr(
    own: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"12345678")
    assert load_score(own("score"))(file) == 4.0
    assert capsys.readouterr() == ("", "sizing model.safetensors\n")
    assert load_score(own("longest")).__name__ == "max"  # it has no signature to be checked


def test_what_it_raises_is_told_with_its_line_and_model(own: Callable, tmp_path: Path) -> None:
    score = load_score(own("fails"))
    with pytest.raises(RecipeError, match=r"own\.py:17: KeyError: 'lost'") as error:
        score(tmp_path)
    assert error.value.help == f"fails raised it on {tmp_path}"
    assert isinstance(error.value.__cause__, KeyError)
    leaves = load_score(own("f", "import sys\ndef f(model):\n    sys.exit(0)\n"))
    with pytest.raises(RecipeError, match=r"own\.py:3: SystemExit: 0"):
        leaves(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("socre", OWN, r"own\.py has no function 'socre'\n  help: did you mean 'score'\?"),
        ("x", "def longer(): ...", r"no function 'x'\n  help: its functions are longer"),
        ("x", "x = 1", r"own\.py has no function 'x'"),
        ("two", OWN, r"own\.py: two cannot be called with a model alone: missing .*'data'"),
        ("f", "1 / 0", r"own\.py:1: ZeroDivisionError: .*\n  help: it was raised while the file"),
        ("f", "def f(:", r"own\.py:1: invalid syntax"),
    ],
)
def test_a_fault_is_found_while_it_is_loaded(
    own: Callable, name: str, text: str, said: str
) -> None:
    with pytest.raises((RecipeError, UnknownNameError), match=said):
        load_score(own(name, text))


@pytest.mark.parametrize(
    "words", ["", ":", "own.py", "own.py:", ":score", "own:score", "own.txt:f"]
)
def test_words_that_name_no_function_of_a_file_are_refused(words: str) -> None:
    with pytest.raises(RecipeError, match=r"names no function of a file\n  help: write FILE\.py:"):
        load_score(words)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.py\n  help: give a Python file"):
        load_score(f"{tmp_path / 'none.py'}:score")

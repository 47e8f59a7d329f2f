"""Where an output may lie: never on an input, and never on what is no model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from alnico.merging import saving

Refused = Callable[..., str]
Command = Callable[..., Any]


OWN_INPUTS = ("a", "./a/", "link", "{here}/a", "b/../a", "a/model.safetensors", "link/../a/out")


@pytest.mark.parametrize("place", OWN_INPUTS)
@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
def test_an_input_is_never_the_output_whatever_it_is_called(
    refused: Refused, work: Path, place: str, force: tuple[str, ...]
) -> None:
    (work / "link").symlink_to("a")
    block = refused("merge", "a", "b", "-o", place.format(here=work), *force)
    assert block.startswith("error[output]: ") and "inputs are never changed" in block


@pytest.mark.parametrize("place", ["a/model.safetensors", "a", "a/", ".", ".."])
def test_the_folder_of_an_input_that_is_a_file_is_no_output(refused: Refused, place: str) -> None:
    block = refused("merge", "a/model.safetensors", "b", "-o", place, "--force")
    assert "inputs are never changed" in block


def test_a_folder_with_an_input_in_it_is_no_output(refused: Refused, work: Path) -> None:
    shutil.copytree("a", "b/inner")
    block = refused("merge", "b/inner", "base", "-o", "b", "--force")
    assert "b has the input b/inner/model.safetensors in it" in block


PLACES: dict[str, tuple[str, str]] = {
    "a folder that is there": ("base", "is there already\n  help: choose another -o, or --force"),
    "a file that is there": ("there.txt", "is there already"),
    "no folder above": ("deep/out", "there is no folder deep\n  help: make it first"),
    "a file above": ("there.txt/out", "there.txt is not a folder"),
    "a pickle": ("out.bin", "a model in one file is written as .safetensors"),
    "the current folder": (".", ". has the input a/model.safetensors in it"),
    "the folder above": ("..", ".. has the input a/model.safetensors in it"),
    "the top": ("/", "/ has the input a/model.safetensors in it"),
    "nothing": ("", ". has the input a/model.safetensors in it"),
    "a device": ("/dev/null", "/dev/null is there already"),
    "a file in a device": ("/dev/null/out", "/dev/null is not a folder"),
    "a pipe": ("pipe.safetensors", "is there already"),
    "a link to nothing": ("dead", "dead is there already"),
    "a link to itself": ("loop", "loop is there already"),
    "in a link to itself": ("loop/out", "there is no folder loop"),
    "a name of 300 letters": ("o" * 300, "a name has at most 230 bytes"),
    "a name of 250 letters": ("o" * 250, "a name has at most 230 bytes"),
    "in a name of 300 letters": (f"{'o' * 300}/out", "there is no folder ooo"),
    "a kernel's folder": ("/proc/out", "/proc/out needs"),
}


@pytest.mark.parametrize("case", PLACES)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    refused: Refused, work: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    place, fault = PLACES[case]
    (work / "there.txt").write_text("dear")
    os.mkfifo(work / "pipe.safetensors")
    (work / "dead").symlink_to("nothing")
    (work / "loop").symlink_to("loop")
    monkeypatch.setattr(saving, "execute", None)
    block = refused("merge", "a", "b", "-o", place)
    assert block.startswith("error[output]: ") and fault in block, block


@pytest.mark.parametrize("place", ["mine", "there.txt", "dead", "pipe", "out.safetensors"])
def test_only_a_model_is_ever_replaced(refused: Refused, work: Path, place: str) -> None:
    for name in ("mine", "out.safetensors"):
        (work / name).mkdir()
        (work / name / "thesis.txt").write_text("dear")
    (work / "there.txt").write_text("dear")
    (work / "dead").symlink_to("nothing")
    os.mkfifo(work / "pipe")
    block = refused("merge", "a", "b", "-o", place, "--force")
    assert block.startswith("error[output]: ")


@pytest.mark.parametrize("place", ["out", "out.safetensors"])
def test_a_model_is_replaced_where_that_is_asked_for(
    command: Command, left: Callable[[], list[str]], place: str
) -> None:
    weights = Path(place, "model.safetensors") if place == "out" else Path(place)
    for words in (("base", "b"), ("a", "--force")):
        assert command("merge", *words, "-o", place).code == 0
    found, given = load_file(weights), load_file("a/model.safetensors")
    assert all((found[name] == values).all() for name, values in given.items())
    assert not [name for name in left() if name.startswith(".")]

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

WIDTH = 84


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("echo",)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder with a pickle of a long name, and a readme."""
    (tmp_path / f"{'pytorch_model' * 9}.bin").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "README.md").write_text("words")
    return tmp_path


def test_a_run_folder_is_safe(command: Callable, finished: Path) -> None:
    done = command("scan", finished)
    title, _, *lines = done.out.splitlines()
    assert (done.code, title.split()) == (0, ["file", "verdict", "what", "it", "is"])
    names = ["members", "model", "predictions"]
    expected = [*(f"{name}.safetensors" for name in names), "run.json"]
    assert [line.split()[:2] for line in lines] == [[name, "safe"] for name in expected]
    assert "4 of 4 files are safe to read" in done.err
    assert command("scan", finished, "--quiet").err == ""


def test_an_unsafe_file_is_named_with_what_it_calls(command: Callable, bad: Path) -> None:
    done = command("scan", bad)
    assert done.code == 4 and max(map(len, done.out.splitlines())) <= WIDTH
    assert "unsafe" in done.out and "unknown" in done.out
    assert "error[unsafe-file]: pytorch_model" in done.err
    assert f"a pickle that would call {os.system.__module__}.system at byte" in done.err
    assert "\n  help: get it as .safetensors" in done.err


def test_many_unsafe_files_are_counted_and_the_first_ones_named(
    command: Callable, tmp_path: Path
) -> None:
    for i in range(7):
        (tmp_path / f"{i}.pkl").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "x.safetensors").write_bytes(b"")
    done = command("scan", tmp_path)
    assert done.code == 4
    assert "error[unsafe-file]: 8 of 8 files are unsafe\n  0.pkl: a pickle" in done.err
    assert "... 3 more" in done.err and done.err.count("help:") == 1


def test_json_tells_everything_of_one_file(command: Callable, bad: Path) -> None:
    done = command("scan", bad, "--json")
    found = json.loads(done.out)
    assert done.code == 4 and found["path"] == str(bad)
    assert [f["verdict"] for f in found["files"]] == ["unknown", "unsafe"]
    alone = command("scan", bad / "README.md", "--json")
    expected = {"file": "README.md", "verdict": "unknown", "reason": "not read by alnico"}
    assert (alone.code, json.loads(alone.out)["files"]) == (0, [{**expected, "help": None}])


def test_a_missing_path_is_refused(refused: Callable, tmp_path: Path) -> None:
    assert "there is no file or folder" in refused("scan", tmp_path / "none")


def test_an_empty_folder_has_no_files(command: Callable, tmp_path: Path) -> None:
    done = command("scan", tmp_path)
    assert (done.code, done.out) == (0, "") and "0 of 0 files" in done.err


def test_a_name_that_would_steer_the_terminal_is_written_out(
    command: Callable, tmp_path: Path
) -> None:
    (tmp_path / "a\x1b[2J.txt").write_text("x")
    done = command("scan", tmp_path)
    assert "a\\x1b[2J.txt" in done.out and "\x1b" not in done.out

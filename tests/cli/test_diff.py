from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

EVIL = "<script>alert(1)</script>.weight"


def write(name: str, **changed: np.ndarray) -> None:
    """A model of two layers, in a folder; some tensors are others."""
    draw = np.random.default_rng(0)
    tensors = {f"model.layers.{i}.mlp.weight": draw.normal(size=(6, 4)) for i in range(2)}
    tensors |= {"model.embed.weight": draw.normal(size=(9, 4)), EVIL: draw.normal(size=(2, 2))}
    Path(name).mkdir()
    save_file({**tensors, **changed}, f"{name}/model.safetensors")


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("base")
    write("same")
    write("cats", **{"model.layers.1.mlp.weight": np.ones((6, 4))})
    write("dogs", **{"model.embed.weight": np.zeros((9, 4)), "late.bias": np.ones(3)})
    write("wide", **{"model.embed.weight": np.zeros((9, 5))})


def test_the_table_goes_to_stdout_and_progress_to_stderr(command: Callable) -> None:
    done = command("diff", "base", "cats")
    assert done.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()[2:7]}
    assert rows["model.layers.0"] == ["24", "0", "1", "1", "0", "0", "-"]
    assert rows["model.layers.1"][4] == "1" and rows["all"][0] == "88"
    assert done.out.splitlines()[-2] == "A is base, B is cats."
    assert [line.split()[0] for line in done.err.splitlines()] == ["read", "compare", "rank"]
    assert max(map(len, done.out.splitlines())) <= 84


def test_a_base_and_a_row_for_each_tensor(command: Callable) -> None:
    done = command("diff", "cats", "dogs", "--base", "base", "--tensors", "-q")
    assert done.code == 0 and done.err == ""
    between, from_base, notes = done.out.split("\n\n")
    assert [line.split()[0] for line in between.splitlines()[2:]] == [
        *(EVIL, "model.embed.weight"),
        *("model.layers.0.mlp.weight", "model.layers.1.mlp.weight", "all"),
    ]
    (embedding,) = (line.split() for line in from_base.splitlines() if "embed" in line)
    assert embedding[1:4] == ["0", "-", "1"] and 3 < float(embedding[4]) <= 4
    assert notes.splitlines()[-1] == "only dogs has late.bias"


def test_identical_models_take_one_line(command: Callable) -> None:
    done = command("diff", "base", "same", "-q")
    assert done.out == "base and same are identical: 4 tensors, 88 values, bit for bit\n"


def test_json_is_the_record(command: Callable) -> None:
    record = json.loads(command("diff", "cats", "dogs", "--base", "base", "--json", "-q").out)
    assert (record["a"], record["b"], record["base"]) == ("cats", "dogs", "base")
    rows = {row["name"]: row for row in record["tensors"]}
    assert rows["model.embed.weight"]["b_from_base"]["distance"] == 1.0
    assert rows["model.layers.1.mlp.weight"]["a_from_base"]["changed"] == 1.0
    assert record["only_b"] == ["late.bias"]


def test_the_page_is_written_once_and_shows_names_as_text(command: Callable) -> None:
    done = command("diff", "cats", "dogs", "--base", "base", "--html", "diff.html")
    assert done.code == 0 and done.err.splitlines()[-1] == "diff.html holds the page."
    text = Path("diff.html").read_text("utf-8")
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text and "model.layers.1" in text
    again = command("diff", "cats", "base", "--html", "diff.html")
    assert again.code == 2 and "--force" in again.err
    assert Path("diff.html").read_text("utf-8") == text
    assert command("diff", "cats", "base", "--html", "diff.html", "--force").code == 0
    assert Path("diff.html").read_text("utf-8") != text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("cats dogs --html cats/model.safetensors --force", 2, "a page ends in .html"),
        ("cats dogs --html nowhere/diff.html", 2, "there is no folder nowhere"),
        ("cats bogs", 2, "bogs"),
        ("cats dogs --treads 2", 2, "no option '--treads'"),
        ("cats dogs --threads -1", 2, "threads must be 0 or more, got -1"),
    ],
)
def test_faults_are_told_before_anything_is_written(
    words: str, code: int, said: str, refused: Callable
) -> None:
    assert said in refused("diff", *words.split(), code=code)


def test_models_that_do_not_fit_are_an_answer_and_with_strict_exit_3(command: Callable) -> None:
    calm = command("diff", "cats", "wide", "-q")
    assert calm.code == 0
    assert "of two shapes, not compared: model.embed.weight [9, 4] and [9, 5]" in calm.out
    strict = command("diff", "cats", "wide", "-q", "--strict")
    assert (strict.code, strict.out) == (3, calm.out)
    assert "cats and wide do not fit together, by tensors: 1 differ in shape" in strict.err
    assert command("diff", "base", "dogs", "--strict", "-q").code == 3
    assert command("diff", "base", "cats", "--strict", "-q").code == 0


def test_large_matrices_are_ranked_on_request(command: Callable) -> None:
    draw = np.random.default_rng(1)
    for name in ("left", "right"):
        write(name, **{"model.embed.weight": draw.normal(size=(300, 260))})
    left_out = "large matrices whose effective rank was left out: 1; --rank finds it"
    assert left_out in command("diff", "left", "right", "-q").out
    done = command("diff", "left", "right", "-q", "--rank")
    row = next(line for line in done.out.splitlines() if line.startswith("model.embed"))
    assert left_out not in done.out and 150 < float(row.split()[-1]) < 260

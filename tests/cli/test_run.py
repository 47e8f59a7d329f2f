"""Recipes through the command: alnico's and mergekit's, in small processes, stopped and gone on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

START = (sys.executable, "-c", "import sys; from alnico.cli.entry import start; start()")
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}

OWN = """\
alnico: 1
models: {cats: ./cats, dogs: ./dogs}
steps:
  - merge: {method: linear, weight: {cats: 3, dogs: 1}, where: [{match: head.*, keep: dogs}]}
output: ./pets
"""
THEIRS = """\
merge_method: linear
models:
  - {model: ./cats, parameters: {weight: 3}}
  - {model: ./dogs, parameters: {weight: 1}}
dtype: float32
"""
TWO = """\
name: pets
merge_method: linear
models: [{model: ./cats, parameters: {weight: 1}}, {model: ./dogs, parameters: {weight: 1}}]
---
merge_method: slerp
base_model: pets
models: [{model: pets}, {model: ./cats}]
parameters: {t: 1.0}
"""


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, torch.Tensor]]:
    """A folder, which one is in, of two models as transformers keeps them, and recipes."""
    monkeypatch.chdir(tmp_path)
    found = {}
    for name in ("cats", "dogs"):
        found[name] = {"body.weight": torch.randn(3, 4), "head.weight": torch.randn(2, 4)}
        Path(name).mkdir()
        save_file(found[name], f"{name}/model.safetensors")
        Path(name, "config.json").write_text('{"model_type": "llama", "dtype": "float32"}')
        Path(name, "tokenizer.json").write_text(json.dumps({"of": name}))
    for name, text in (("own", OWN), ("theirs", THEIRS), ("two", TWO)):
        Path(f"{name}.yml").write_text(text)
    return found


def test_a_recipe_of_our_own_goes_where_it_says(pets: dict, command: Callable) -> None:
    done = command("run", "own.yml")
    assert (done.code, done.out) == (0, ""), done.err
    said = done.err.splitlines()[-1]  # with its speed if it took more than a second
    assert said.startswith("pets holds the model, its card and run.json")
    found = load_file("pets/model.safetensors")
    mean = (3 * pets["cats"]["body.weight"] + pets["dogs"]["body.weight"]) / 4
    torch.testing.assert_close(found["body.weight"], mean)
    assert torch.equal(found["head.weight"], pets["dogs"]["head.weight"])
    assert json.loads(Path("pets/tokenizer.json").read_text()) == {"of": "cats"}
    assert "is there already" in command("run", "own.yml").err
    assert command("merge", "own.yml", "-o", "out.safetensors").code == 0
    assert torch.equal(load_file("out.safetensors")["body.weight"], found["body.weight"])


def test_a_recipe_of_mergekits_is_told_by_its_keys(pets: dict, command: Callable) -> None:
    done = command("run", "theirs.yml", "-o", "out", "--dtype", "bfloat16")
    assert done.code == 0, done.err
    assert "the output is bfloat16, as --dtype asks" in done.err
    found = load_file("out/model.safetensors")["body.weight"]
    mean = (3 * pets["cats"]["body.weight"] + pets["dogs"]["body.weight"]) / 4
    assert torch.equal(found, mean.bfloat16())
    record = json.loads(Path("out/run.json").read_text())
    assert record["recipe"] == THEIRS
    assert json.loads(Path("out/config.json").read_text())["dtype"] == "bfloat16"
    assert "where is the merged model to be written?" in command("run", "theirs.yml").err


def test_a_key_that_means_nothing_is_said_or_refused(pets: dict, command: Callable) -> None:
    Path("theirs.yml").write_text(THEIRS + "mrege: 1\n")
    loose = command("run", "theirs.yml", "-o", "out")
    assert loose.code == 0 and "mrege" in loose.err
    strict = command("run", "theirs.yml", "-o", "out", "--force", "--strict")
    assert strict.code == 2 and "mrege" in strict.err and "theirs.yml:6" in strict.err


def test_a_result_that_another_recipe_takes_goes_away_or_is_kept(
    pets: dict, command: Callable
) -> None:
    done = command("run", "two.yml", "-o", "out")
    assert done.code == 0, done.err
    assert not [path for path in Path().iterdir() if "stages" in path.name]
    found = load_file("out/model.safetensors")["body.weight"]
    torch.testing.assert_close(found, pets["cats"]["body.weight"])
    assert command("run", "two.yml", "-o", "other", "--stages", "kept").code == 0
    kept = load_file("kept/pets/model.safetensors")["body.weight"]
    torch.testing.assert_close(
        kept, (pets["cats"]["body.weight"] + pets["dogs"]["body.weight"]) / 2
    )
    assert [path.name for path in Path("kept").iterdir()] == ["pets"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TWO.replace("slerp", "slrep"), "did you mean 'slerp'?"),
        (TWO.replace("pets", "../pets"), "the result of a recipe cannot be called '../pets'"),
        (TWO + "name: last\n", "each of 2 recipes has a name"),
        (TWO.replace("./cats", "./cast"), "there is no file or folder"),
    ],
)
def test_a_faulty_recipe_leaves_nothing(
    text: str, said: str, pets: dict, refused: Callable
) -> None:
    Path("two.yml").write_text(text)
    assert said in refused("run", "two.yml", "-o", "out")


def test_a_merge_of_small_files_starts_quickly_and_without_torch(pets: dict) -> None:
    code = (
        "import sys, time; from alnico.cli.app import main; "
        "code = main(['run', 'theirs.yml', '-o', 'out', '--force', '-q']); "
        "print(code, time.process_time()); "
        "assert not {'torch', 'transformers', 'polars', 'numba', 'scipy'} & set(sys.modules)"
    )
    seconds = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=ONE_THREAD
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[0] == "0"
        seconds.append(float(done.stdout.split()[1]))
    assert min(seconds) < 0.7, seconds


def big(path: Path, seed: int, *, n: int = 8) -> None:
    """Write a model whose merge is compiled and takes a while."""
    draw = np.random.default_rng(seed)
    save_arrays(
        {f"layers.{i}.w": draw.standard_normal((1024, 512), np.float32) for i in range(n)},
        path,
    )


def test_8_gib_of_address_space_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b")):
        big(tmp_path / f"{name}.safetensors", seed, n=5)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)); "
    words = ["merge", "a.safetensors", "b.safetensors", "-o", "out.safetensors", "-q"]
    done = subprocess.run(
        [START[0], "-c", limit + START[2], *words], capture_output=True, text=True, env=ONE_THREAD
    )
    assert done.returncode == 0, done.stderr
    a, b, out = (load_file(f"{name}.safetensors")["layers.4.w"] for name in ("a", "b", "out"))
    torch.testing.assert_close(out, (a + b) / 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with large models, and `whole`, the merge of them that nothing stopped."""
    folder = tmp_path_factory.mktemp("large")
    for seed, name in enumerate(("a", "b", "base")):
        big(folder / f"{name}.safetensors", seed)
    words = [*START, *LARGE, "-o", "whole.safetensors", "-q"]
    subprocess.run(words, check=True, cwd=folder, env=ONE_THREAD)
    return folder


LARGE = ("merge", "a.safetensors", "b.safetensors", "--base", "base.safetensors")
LARGE += ("--method", "ties", "--density", "0.5")


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_merge_goes_on_to_the_same_bytes(kind: signal.Signals, whole: Path) -> None:
    words = [*START, *LARGE, "-o", f"{kind.name}.safetensors"]
    out = whole / words[-1]
    running = subprocess.Popen(
        [*words, "-v"], cwd=whole, env=ONE_THREAD, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "layers.1.w" in line:
            running.send_signal(kind)
            break
    said = running.stderr.read()
    code = running.wait()
    running.stderr.close()
    if kind is signal.SIGINT:
        assert code == 130 and "the same command with --resume" in said
    assert not out.exists()
    done = subprocess.run(
        [*words, "--resume"], cwd=whole, env=ONE_THREAD, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "of 8 tensors were finished before" in done.stderr
    assert out.read_bytes() == (whole / "whole.safetensors").read_bytes()
    assert not (whole / f".{out.name}.partial").exists()

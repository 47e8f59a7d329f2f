from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from alnico.cli.plan import _lasting

SLICES = """\
merge_method: passthrough
slices:
  - sources: [{model: ./cats, layer_range: [0, 3]}]
  - sources: [{model: ./dogs, layer_range: [1, 4]}]
"""
SHAPES = {
    "model.embed_tokens.weight": (32, 8),
    **{f"model.layers.{i}.mlp.up_proj.weight": (16, 8) for i in range(4)},
    "model.norm.weight": (8,),
    "lm_head.weight": (32, 8),
}


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three models of four layers, `model.safetensors` in a folder with a config each."""
    monkeypatch.chdir(tmp_path)
    for name in ("cats", "dogs", "base"):
        Path(name).mkdir()
        tensors = {key: np.ones(shape, np.float32) for key, shape in SHAPES.items()}
        save_file(tensors, f"{name}/model.safetensors")
        config = {"model_type": "llama", "num_hidden_layers": 4, "vocab_size": 32}
        Path(name, "config.json").write_text(json.dumps(config))
        Path(name, "tokenizer.json").write_text("{}")
    Path("slices.yml").write_text(SLICES)


def test_a_merge_is_shown_by_what_becomes_of_tensors_and_what_it_takes(command: Callable) -> None:
    line = "plan cats dogs --base base --method ties --density 0.5 --threads 1"
    done = command(*line.split())
    assert done.code == 0, done.err
    n = sum(np.prod(shape) for shape in SHAPES.values())
    assert n == 1032
    lines = done.out.splitlines()
    assert lines[0].split() == ["what", "how", "tensors", "values", "read", "written"]
    assert lines[2].split() == [
        *("merge", "ties", "weight=1", "density=0.5", "scale=1"),
        *("7", "1.03", "k", "12.4", "kB", "4.13", "kB"),
    ]
    facts = {line.split()[0]: line[11:] for line in lines[5:]}
    assert facts.pop("memory").endswith("MB at most: ties block by block")
    assert facts == {
        "layers": "model.layers.* 4",
        "modules": "lm_head 1, model 6",
        "tokens": "lm_head.weight on axis 0, model.embed_tokens.weight on axis 0",
        "tokenizer": "that of cats",
        "disk": "4.13 kB; 12.4 kB are read",
        "time": "about 1 s on 1 thread",
    }
    assert done.err.splitlines()[-1] == "nothing was written"
    assert max(map(len, lines)) <= 84


def test_slices_show_the_layers_of_the_result_and_what_is_dropped(command: Callable) -> None:
    done = command("plan", "slices.yml", "--compat", "mergekit")
    assert done.code == 0, done.err
    assert "config     num_hidden_layers 6" in done.out
    rows = [" ".join(line.split()) for line in done.out.splitlines()[2:6]]
    assert rows == [
        "copy from ./cats 4 640 2.56 kB 2.56 kB",
        "copy from ./dogs 5 648 2.59 kB 2.59 kB",
        "drop no slice asks for it 3 520",
        "drop its layer is in no slice 2 256",
    ]


def test_json_holds_all_of_it(command: Callable) -> None:
    done = command("plan", "slices.yml", "--json", "-q")
    (merge,) = json.loads(done.out)["merges"]
    assert done.err == ""
    assert [fate["tensors"] for fate in merge["fates"]] == [4, 5, 3, 2]
    assert merge["config"] == {"num_hidden_layers": 6}
    assert merge["needs"]["written"] == 4 * (2 * 32 * 8 + 6 * 16 * 8 + 8)
    assert merge["layers"] == {"model.layers.": 4} and merge["vocabulary"]["lm_head.weight"] == 0


def test_nothing_is_written_and_a_taken_place_is_said(refused: Callable) -> None:
    assert "is there already" in refused("plan", "cats", "dogs", "-o", "base")
    assert "inputs are never changed" in refused("plan", "cats", "dogs", "-o", "cats", "--force")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("cats dogs --method tise", 2, ["no merge method 'tise'", "mean 'ties'?"]),
        ("cats dogs --methd ties", 2, ["no parameter 'methd'", "mean '--method'?"]),
        ("cats bogs fogs", 2, ["2 models are not there", "'bogs'", "'fogs'", "mean 'dogs'?"]),
        ("cats dogs --method slerp --t 20", 2, ["t must lie in [0, 1], got 20", "20 % is 0.2"]),
        ("slices.yml --density 1", 2, ["--density is for a merge without a recipe"]),
        ("none.yml", 2, ["there is no file none.yml"]),
    ],
)
def test_faults_are_those_of_a_merge(
    words: str, code: int, said: list[str], refused: Callable
) -> None:
    block = refused("plan", *words.split(), code=code)
    assert all(text in block for text in said), block


def test_models_that_cannot_be_read_are_told_at_once(refused: Callable) -> None:
    Path("dogs/model.safetensors").write_bytes(b"\x00" * 20)
    Path("base/config.json").write_text('{"a": NaN}')
    block = refused("plan", "cats", "dogs", "base", code=4)
    assert "2 models cannot be read" in block
    assert "dogs/model.safetensors" in block and "base/config.json" in block


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.01, "1 s"), (59.4, "59 s"), (90, "2 min"), (7200, "120 min")]
)
def test_times_are_as_long_as_they_are_known(seconds: float, said: str) -> None:
    assert _lasting(seconds) == said

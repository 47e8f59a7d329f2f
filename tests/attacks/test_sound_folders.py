"""Folders of models that are odd and sound: each must be merged, whatever it is called."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from samples import FIRST, SECOND, index, shard

Merged = Callable[..., Any]

MERGE = ("merge", "a", "b", "-o", "out")


def as_bin(folder: Path) -> None:
    state = {n: torch.from_numpy(v) for n, v in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")


def as_bins(folder: Path) -> None:
    state = {n: torch.from_numpy(v) for n, v in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    names, places = sorted(state), {}
    for i, part in enumerate((names[:3], names[3:]), 1):
        file = f"pytorch_model-0000{i}-of-00002.bin"
        torch.save({name: state[name] for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    path = folder / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": places}))


def as_cached(folder: Path) -> None:
    """As the hub's cache keeps a model: links into `blobs`, which have no suffix."""
    cache = folder.parent / "models--org--a"
    snapshot = cache / "snapshots/0123abc"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for n, path in enumerate(sorted(folder.iterdir())):
        path.rename(cache / f"blobs/{n}")
        (snapshot / path.name).symlink_to(f"../../blobs/{n}")
    folder.rmdir()
    folder.symlink_to("models--org--a/snapshots/0123abc")


def below(folder: Path) -> None:
    (folder / "shards").mkdir()
    places = shard(folder)
    for name in (FIRST, SECOND):
        (folder / name).rename(folder / "shards" / name)
    index(folder, {tensor: f"shards/{name}" for tensor, name in places.items()})


ODD: dict[str, Callable[[Path], object]] = {
    "a hub's cache": as_cached,
    "a file of PyTorch's": as_bin,
    "shards of PyTorch's": as_bins,
    "shards": shard,
    "shards in a folder below": below,
    "a link in the folder": lambda f: (
        (f / "model.safetensors").rename(f / "x"),
        (f / "model.safetensors").symlink_to("x"),
    ),
    "a folder that is a link": lambda f: (f.rename("real"), f.symlink_to("real")),
    "files that cannot be written": lambda f: [path.chmod(0o444) for path in f.iterdir()],
    "a folder that cannot be written": lambda f: f.chmod(0o555),
    "no config": lambda f: (f / "config.json").unlink(),
    "an optimizer beside": lambda f: (f / "optimizer.pt").write_bytes(b"cos\nsystem\n."),
    "a pipe beside": lambda f: os.mkfifo(f / "pipe"),
    "a dead link beside": lambda f: (f / "x.txt").symlink_to("nothing"),
    "an index of a wrong size": lambda f: index(f, shard(f), metadata={"total_size": -1}),
    "a name in capitals": lambda f: (f / "model.safetensors").rename(f / "Model.safetensors"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_folder_that_is_odd_but_sound_is_merged(merged: Merged, work: Path, case: str) -> None:
    given = [load_file(work / name / "model.safetensors") for name in ("a", "b")]
    ODD[case](work / "a")
    merged(*MERGE, "--weight", "0.25", "0.75")
    made = load_file(work / "out/model.safetensors")
    assert made.keys() == given[0].keys()
    for name, values in made.items():
        expected = 0.25 * given[0][name] + 0.75 * given[1][name]
        np.testing.assert_allclose(values, expected, rtol=1e-6)


NAMES = ["with blanks", "a+b", "a@b", "-a", "ä", "模型", "a'b\"c", "a,b=c;[d]"]


@pytest.mark.parametrize("name", [*NAMES, "a.safetensors", "a.bin"])
def test_a_folder_may_have_any_name(merged: Merged, work: Path, name: str) -> None:
    (work / "a").rename(work / name)
    output = f"out {name}".replace(".", "")
    merged("merge", "b", "-o", output, "--", name)
    assert (work / output / "model.safetensors").is_file()


@pytest.mark.parametrize("form", ["./{}", "../{folder}/{}", "{}/", "{}/.", "a/../{}", "{here}/{}"])
def test_any_way_may_lead_to_a_folder(merged: Merged, work: Path, form: str) -> None:
    place, output = (form.format(name, here=work, folder=work.name) for name in ("a", "out"))
    if form == "{}/.":
        output = "out"
    merged("merge", place, "b", "-o", output)
    assert (work / "out/model.safetensors").is_file()


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": "many"},
        {"hidden_size": 10**30, "vocab_size": None},
        {"model_type": ["llama"], "architectures": {"x": 1}},
        {"auto_map": {"AutoModel": "evil.Evil"}, "trust_remote_code": True},
        {"rope_theta": float("inf")},
        {"text_config": 7, "vision_config": None},
        {"dtype": 7},
    ],
)
def test_a_config_costs_and_runs_nothing_whatever_it_says(
    merged: Merged, work: Path, changes: Mapping[str, object]
) -> None:
    for name in ("a", "b"):
        path = work / name / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        (work / name / "evil.py").write_text("open('canary', 'w')\n")
    merged(*MERGE)
    assert not (work / "canary").exists()
    told = json.loads((work / "out/config.json").read_text())
    assert told.items() >= {key: value for key, value in changes.items() if key != "dtype"}.items()
    assert told["dtype"] == "float32"


@pytest.mark.parametrize(
    "changes", [{"quantization_config": 7}, {"quantization_config": {"quant_method": ["fp8"]}}]
)
def test_a_config_of_a_quantisation_that_is_none_is_met(
    merged: Merged, work: Path, changes: Mapping[str, object]
) -> None:
    path = work / "a/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    merged(*MERGE)
    assert "quantization_config" not in json.loads((work / "out/config.json").read_text())

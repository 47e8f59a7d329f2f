"""What several test files are made of: recipes of mergekit's, models in shards."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import load_file, save_file

INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"

THEIRS = """\
merge_method: ties
base_model: base
models:
  - model: a
    parameters: {weight: 1.0, density: 0.5}
  - model: b
    parameters: {weight: [0.5, 1.0]}
parameters: {normalize: true, density: [{filter: mlp, value: 0.8}, {value: 1.0}]}
dtype: float32
"""
SLICES = """\
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources: [{model: b, layer_range: [1, 3]}]
dtype: float32
"""


def changed(recipe: str, old: str, new: str) -> str:
    assert recipe.count(old) >= 1
    return recipe.replace(old, new, 1)


def shard(folder: Path) -> dict[str, str]:
    """Divide a model's file into two and an index; gives which tensor is in which."""
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(state)
    places = {name: FIRST if name in names[:3] else SECOND for name in names}
    for file in (FIRST, SECOND):
        save_file({name: state[name] for name in names if places[name] == file}, folder / file)
    index(folder, places)
    return places


def index(folder: Path, places: object, **more: object) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places, **more}), "utf-8")


def link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)

"""Whatever transformers saves merges: reloaded without a missing tensor, every value compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from zoo import KINDS, load, make, zoo

from alnico.merging import merge_files

QUICK = ("llama_tied", "bert_mlm", "t5", "mixtral", "deepseek_v3", "vit", "resnet", "llava")


def test_the_zoo_is_as_large_as_it_is_said_to_be() -> None:
    assert len({model for model, _ in KINDS.values()}) >= 49


@pytest.mark.parametrize(
    "kind",
    [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS],
)
def test_two_models_of_a_kind_merge(kind: str, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(folders):
        make(kind, seed).save_pretrained(folder)
    out = tmp_path / "out"
    merge_files(folders, out, "linear", weight=[0.25, 0.75])

    a, b = (load_file(folder / "model.safetensors") for folder in folders)
    merged = load_file(out / "model.safetensors")
    assert merged.keys() == a.keys() == b.keys()
    for name, tensor in merged.items():
        assert tensor.dtype == a[name].dtype and tensor.shape == a[name].shape, name
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, 0.25 * a[name] + 0.75 * b[name], msg=name)
        else:  # a counter of batches
            assert torch.equal(tensor, torch.maximum(a[name], b[name])), name

    config, inputs = (json.loads((f / "config.json").read_text()) for f in (out, folders[0]))
    assert config == inputs
    model, found = load(kind, out)
    assert not any(found.values()), found
    assert type(model) is zoo(kind)[0]

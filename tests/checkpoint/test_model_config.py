from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from alnico.checkpoint.header import FLOATS
from alnico.checkpoint.model_config import with_changes, write_config
from alnico.checkpoint.reader import DTYPES
from alnico.errors import OutputError, RecipeError


def written(folder: Path, config: dict[str, object], dtype: str, **changes: object) -> object:
    write_config(folder, config, dtype, **changes)
    return json.loads((folder / "config.json").read_text("utf-8"))


@pytest.mark.parametrize("keys", [["dtype"], ["torch_dtype"], ["torch_dtype", "dtype"], []])
def test_the_dtype_is_said_where_the_config_says_one(keys: list[str], tmp_path: Path) -> None:
    config = {"z": 1, **dict.fromkeys(keys, "float32"), "a": None}
    assert written(tmp_path, config, "BF16") == {**config, **dict.fromkeys(keys, "bfloat16")}
    assert config == {"z": 1, **dict.fromkeys(keys, "float32"), "a": None}
    assert list(json.loads((tmp_path / "config.json").read_text())) == list(config)


def test_the_parts_of_a_model_are_of_its_dtype_too(tmp_path: Path) -> None:
    config = {
        "text_config": {"torch_dtype": "float32", "sub_config": {"dtype": None}, "n": 1},
        "vision_config": {"dtype": "float16", "depth": 2},
        "audio_config": None,
        "quantization_config": {"dtype": "int8"},
        "task_specific_params": {"dtype": "x"},
    }
    assert written(tmp_path, config, "F16") == {
        **config,
        "text_config": {"torch_dtype": "float16", "sub_config": {"dtype": "float16"}, "n": 1},
        "vision_config": {"dtype": "float16", "depth": 2},
    }


def test_changes_win(tmp_path: Path) -> None:
    config = {"num_hidden_layers": 2, "vocab_size": 5, "dtype": "float32"}
    assert written(tmp_path, config, "F32", vocab_size=7, eos=[1]) == {
        **config,
        "vocab_size": 7,
        "eos": [1],
    }


@pytest.mark.parametrize("dtype", sorted(FLOATS))
def test_a_dtype_is_called_as_torch_calls_it(dtype: str, tmp_path: Path) -> None:
    assert written(tmp_path, {"dtype": ""}, dtype) == {
        "dtype": str(DTYPES[dtype]).removeprefix("torch.")
    }


def test_transformers_reads_it_back(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPConfig().to_dict() | {"time_step_limit": [0.0, float("inf")]}
    write_config(tmp_path, config, "BF16", projection_dim=64)
    found = transformers.AutoConfig.from_pretrained(tmp_path)
    assert (found.projection_dim, found.dtype) == (64, torch.bfloat16)
    assert found.time_step_limit == [0.0, float("inf")]


def test_what_is_no_dtype_of_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"'bf16'\n  help: did you mean 'BF16'"):
        write_config(tmp_path, {}, "bf16")
    with pytest.raises(OutputError, match=r"config.json cannot be written"):
        write_config(tmp_path / "none", {}, "BF16")


def test_changes_are_applied_to_a_copy() -> None:
    config = {"text_config": {"n": 1, "m": 2}, "k": 3}
    changed = with_changes(config, {("text_config", "n"): 4, ("tie",): False})
    assert changed == {"text_config": {"n": 4, "m": 2}, "k": 3, "tie": False}
    assert config == {"text_config": {"n": 1, "m": 2}, "k": 3}

"""Folders as published models have them, and folders that hold no model or several."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from alnico.checkpoint.folder import choose_weights, find_weights
from alnico.errors import AlnicoError, DataError, UnsafeFileError

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
PARTS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
DIFFUSION = "diffusion_pytorch_model"
CHOICES = [
    ([ONE], ONE),
    (["cats.safetensors"], "cats.safetensors"),
    ([ONE, "pytorch_model.bin", "tf_model.h5"], ONE),
    ([INDEX, *PARTS, "pytorch_model.bin.index.json"], INDEX),
    ([INDEX, *PARTS, "consolidated.safetensors"], INDEX),
    (["consolidated.safetensors", "params.json"], "consolidated.safetensors"),
    ([ONE, "adapter_model.safetensors", "optimizer.pt", "training_args.bin"], ONE),
    ([ONE, "other.safetensors"], ONE),
    (["model-00001-of-00001.safetensors"], "model-00001-of-00001.safetensors"),
    ([INDEX, "model-00001-of-00001.safetensors"], INDEX),
    ([f"{DIFFUSION}.safetensors", f"{DIFFUSION}.fp16.safetensors"], f"{DIFFUSION}.safetensors"),
    ([f"{DIFFUSION}.fp16.safetensors"], f"{DIFFUSION}.fp16.safetensors"),
    (["pytorch_model.bin", "rng_state_0.pth", "scheduler.pt"], "pytorch_model.bin"),
    (
        ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"],
        "pytorch_model.bin.index.json",
    ),
    (["net.pth"], "net.pth"),
    (["config.json", "README.md", "training_args.bin"], None),
]


@pytest.mark.parametrize(("names", "chosen"), CHOICES)
def test_the_weights_of_a_published_model_are_found(names: list[str], chosen: str | None) -> None:
    beside = ["config.json", "tokenizer.json", "generation_config.json"]
    assert choose_weights([*beside, *names], "m") == chosen
    assert choose_weights([*reversed(names), *beside], "m") == chosen


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["b.safetensors", "a.safetensors"], "m holds 2 models: a.safetensors, b.safetensors\n"),
        ([ONE, INDEX, *PARTS], "holds 2 models: model.safetensors, model.safetensors.index.json"),
        (PARTS, f"holds parts of a model, such as {PARTS[0]}, and no index of them"),
        (["pytorch_model-00001-of-00003.bin"], "and no index of them"),
    ],
)
def test_several_models_or_half_of_one_are_refused(names: list[str], fault: str) -> None:
    with pytest.raises(DataError) as error:
        choose_weights(names, "m")
    assert fault in str(error.value)


def test_how_to_choose_is_said(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=f"say which by its file, e.g. {tmp_path}/a.safetensors"):
        find_weights(tmp_path)


def refused(folder: Path, kind: type[AlnicoError]) -> str:
    with pytest.raises(kind) as error:
        find_weights(folder)
    return str(error.value)


def test_a_folder_without_weights_says_what_it_holds_instead(tmp_path: Path) -> None:
    assert "holds no weights" in refused(tmp_path, DataError)
    for part in ("unet", "vae", "scheduler"):
        (tmp_path / part).mkdir()
        if part != "scheduler":
            (tmp_path / part / f"{DIFFUSION}.safetensors").touch()
    assert "give one of its folders: unet, vae" in refused(tmp_path, DataError)
    (tmp_path / "adapter_model.safetensors").touch()
    assert "holds an adapter, adapter_model.safetensors" in refused(tmp_path, DataError)


def test_a_folder_with_only_a_pickle_says_what_it_would_call(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, ("true",)

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Evil()))
    assert "model.pkl is refused: a pickle that would call" in refused(tmp_path, UnsafeFileError)


def test_a_part_that_the_index_does_not_name_is_not_left_out_in_silence(tmp_path: Path) -> None:
    for name in PARTS:
        (tmp_path / name).touch()
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": PARTS[0]}}))
    assert f"holds '{PARTS[1]}', a part of a model that {INDEX}" in refused(tmp_path, DataError)
    (tmp_path / PARTS[1]).rename(tmp_path / "model-00002-of-00002.fp16.safetensors")
    assert find_weights(tmp_path) == tmp_path / INDEX  # another variant is another model


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / ONE).touch()
    (tmp_path / "folder" / ONE).symlink_to(tmp_path / ONE)
    assert "a link that leaves the folder" in refused(tmp_path / "folder", UnsafeFileError)

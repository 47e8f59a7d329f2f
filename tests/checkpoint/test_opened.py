"""Models in every form on disk, written by other libraries, and models that are not whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import save_file
from torch import Tensor

from alnico.checkpoint.header import SIZES
from alnico.checkpoint.opened import Checkpoint, open_checkpoint
from alnico.checkpoint.reader import DTYPES
from alnico.errors import AlnicoError, DataError, UnknownNameError, UnsafeFileError

STATE = {
    "embed.weight": torch.randn(40, 8).bfloat16(),
    "layer.weight": torch.randn(8, 8),
    "layer.mask": torch.tensor([True, False]),
    "steps": torch.tensor(7),
    "empty": torch.empty(0, 3),
}


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file stays open, and no temporary one stays behind, whatever happens."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    yield
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert list((tmp_path / "temporary").iterdir()) == []


def saved(folder: Path, form: str) -> Path:
    """A model as other libraries write it."""
    folder.mkdir()
    if form == "file":
        save_file(STATE, folder / "x.safetensors")
        return folder / "x.safetensors"
    if form == "pt":
        torch.save(STATE, folder / "x.pt")
        return folder / "x.pt"
    (folder / "config.json").write_text('{"num_hidden_layers": 1}')
    save_torch_state_dict(
        STATE, folder, max_shard_size=300, safe_serialization=form != "sharded bin"
    )
    return folder / "model.safetensors.index.json" if form == "index" else folder


def same(found: Checkpoint, state: Mapping[str, Tensor]) -> bool:
    return found.tensors.keys() == state.keys() and all(
        found.tensor(name).dtype == tensor.dtype and torch.equal(found.tensor(name), tensor)
        for name, tensor in state.items()
    )


@pytest.mark.parametrize("form", ["file", "sharded", "index", "pt", "sharded bin"])
def test_a_model_is_read_in_every_form(form: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "model", form)
    with open_checkpoint(path) as found:
        assert same(found, STATE)
        assert found.path == path and found.revision is None
        is_alone = form in ("file", "pt")
        assert found.folder == (None if is_alone else tmp_path / "model")
        assert found.config == (None if is_alone else {"num_hidden_layers": 1})
        assert found.dtype == "BF16"
        assert found.n_bytes == sum(t.numel() * t.element_size() for t in STATE.values())
        assert all(file.is_relative_to(tmp_path / "model") for file in found.files)
        assert (len(found.files) > 1) == (form in ("sharded", "index", "sharded bin"))
        found.check_unchanged()


@pytest.mark.parametrize("name", [name for name in SIZES if not name.startswith("F8")])
def test_every_dtype_is_read_to_the_bit(name: str, tmp_path: Path) -> None:
    raw = torch.randint(0, 2 if name == "BOOL" else 256, (96,), dtype=torch.uint8)
    save_file({"x": raw.view(DTYPES[name]).reshape(2, -1)}, tmp_path / "x.safetensors")
    with open_checkpoint(tmp_path / "x.safetensors") as found:
        assert found.tensors["x"].dtype == name
        assert found.array("x").tobytes() == raw.numpy().tobytes()
        assert torch.equal(found.tensor("x").reshape(-1).view(torch.uint8), raw)
        assert found.tensor("x").shape == found.array("x").shape == (2, 48 // SIZES[name])


@pytest.mark.parametrize("name", [name for name in SIZES if name.startswith("F8")])
def test_floats_of_a_byte_are_read_as_their_values(name: str, tmp_path: Path) -> None:
    stored = torch.arange(256).to(torch.uint8).view(DTYPES[name]).reshape(4, 64)
    save_file({"x": stored}, tmp_path / "x.safetensors")
    with open_checkpoint(tmp_path / "x.safetensors") as found:
        assert found.dtype == found.tensors["x"].dtype == "BF16"
        expected = stored.to(torch.bfloat16)
        torch.testing.assert_close(found.tensor("x"), expected, rtol=0, atol=0, equal_nan=True)


def test_any_stretch_of_a_tensor_is_read_from_many_threads(tmp_path: Path) -> None:
    path = saved(tmp_path / "model", "sharded")
    whole = STATE["embed.weight"].reshape(-1).view(torch.int16).numpy().view(np.uint16)

    def read(i: int) -> bool:
        start, stop = sorted((i * 37 % 321, i * 91 % 321))
        out = np.zeros(stop - start, np.uint16)
        found.read("embed.weight", start, stop, out)
        return np.array_equal(out, whole[start:stop])

    with open_checkpoint(path) as found, ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(200)))


@pytest.mark.parametrize("stretch", [(0, 12), (5, 11), (3, 3)])
def test_a_quantised_weight_is_read_in_full_without_its_scale(
    stretch: tuple[int, int], tmp_path: Path
) -> None:
    full = torch.randn(3, 4)
    scale = full.abs().amax(1, keepdim=True) / 448
    stored = (full / scale).to(torch.float8_e4m3fn)
    state = {"a.weight": stored, "a.weight_scale": scale, "b": torch.ones(2)}
    (tmp_path / "m").mkdir()
    save_file(state, tmp_path / "m" / "model.safetensors")
    config = {"torch_dtype": "float32", "quantization_config": {"quant_method": "fbgemm_fp8"}}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with open_checkpoint(tmp_path / "m") as found:
        assert set(found.tensors) == {"a.weight", "b"} and found.dtype == "F32"
        expected = stored.float() * scale
        assert torch.equal(found.tensor("a.weight"), expected)
        out = np.empty(stretch[1] - stretch[0], np.float32)
        found.read("a.weight", *stretch, out)
        assert np.array_equal(out, expected.reshape(-1)[slice(*stretch)].numpy())


def test_an_unknown_tensor_points_to_the_right_one(tmp_path: Path) -> None:
    with (
        open_checkpoint(saved(tmp_path / "m", "file")) as found,
        pytest.raises(UnknownNameError, match=r"no tensor 'layer\.wieght'\n.*mean 'layer\.weight'"),
    ):
        found.array("layer.wieght")


def test_a_file_that_is_cut_or_changed_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", "file")
    with open_checkpoint(path) as found:
        os.truncate(path, path.stat().st_size - 200)
        with pytest.raises(DataError, match=r"x\.safetensors was cut while it was read"):
            for name in found.tensors:
                found.array(name)
        with pytest.raises(DataError, match=r"x\.safetensors was changed while it was read"):
            found.check_unchanged()


def refused(path: Path, kind: type[AlnicoError]) -> str:
    with pytest.raises(kind) as error:
        open_checkpoint(path)
    return str(error.value)


def shards_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def test_a_sharded_model_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", "sharded")
    first, second = shards_of(folder)[:2]
    moved = first.rename(tmp_path / "aside")
    assert f"{first.name!r} is missing" in refused(folder, DataError)
    moved.rename(first)
    held = second.read_bytes()
    second.write_bytes(first.read_bytes())
    assert f"is in {first.name!r} and in {second.name!r}" in refused(folder, DataError)
    second.write_bytes(held[:-1])
    assert f"{second} is not a sound safetensors file" in refused(folder, UnsafeFileError)
    second.write_bytes(held)
    extra = folder / "model-00009-of-00009.safetensors"
    save_file({"x": torch.ones(1)}, extra)
    assert extra.name in refused(folder, DataError)
    with open_checkpoint(folder / "model.safetensors.index.json") as found:  # it says what it means
        assert same(found, STATE)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_a_shard_that_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", "sharded")
    first = shards_of(folder)[0]
    first.unlink()
    if kind == "folder":
        first.mkdir()
    elif kind == "pipe":
        os.mkfifo(first)
    else:
        first.symlink_to("/dev/zero")
    said = refused(folder, UnsafeFileError)
    assert first.name in said
    assert ("leads out of the folder" if kind == "device" else "not a plain file") in said


def test_a_link_of_the_config_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", "sharded")
    (folder / "config.json").rename(tmp_path / "config.json")
    (folder / "config.json").symlink_to(tmp_path / "config.json")
    assert "config.json is refused: it is a link" in refused(folder, UnsafeFileError)
    (folder / "config.json").unlink()
    (folder / "config.json").write_text("[" * 2_000 + "]" * 2_000)
    assert "config.json is not sound" in refused(folder, DataError)


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("true",)


@pytest.mark.parametrize("name", ["x.bin", "x.safetensors", "x"])
def test_a_pickle_that_runs_code_is_refused_under_any_name(name: str, tmp_path: Path) -> None:
    torch.save({"a": Evil()}, tmp_path / name)
    said = refused(tmp_path / name, UnsafeFileError)
    assert name in said and ".system" in said


def test_a_model_without_tensors_is_refused(tmp_path: Path) -> None:
    save_file({}, tmp_path / "x.safetensors")
    assert "x.safetensors has no tensors" in refused(tmp_path / "x.safetensors", DataError)


def test_weights_in_a_form_that_is_not_read_name_the_model(tmp_path: Path) -> None:
    save_file({"a.qweight": torch.zeros(2, 2, dtype=torch.int32)}, tmp_path / "x.safetensors")
    assert "x.safetensors: " in refused(tmp_path / "x.safetensors", DataError)

"""Files of torch's to safetensors, through the child and back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from alnico import progress
from alnico.checkpoint import weights_only
from alnico.checkpoint.header import read_header
from alnico.checkpoint.weights_only import convert, convert_all, find_weights
from alnico.errors import DataError, OutputError, UnsafeFileError

STATE = {"w": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pytorch_model.bin"


def same(found: Path, expected: dict[str, Tensor]) -> bool:
    written = load_file(found)
    return written.keys() == expected.keys() and all(
        written[k].dtype == x.dtype and torch.equal(written[k], x) for k, x in expected.items()
    )


def test_a_checkpoint_of_a_training_run_is_converted_and_said(path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    saved = {"epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict(), "lr": 0.1}
    torch.save(saved, path)
    before, told = path.read_bytes(), []
    with progress.listen(lambda event: told.append(event.phase.text)):
        made = convert(path)
    assert same(made, net.state_dict()) and made.stat().st_mode & 0o777 == 0o600
    assert told == [f"{path}: 7 tensors in 'model'; left out: epoch, optimizer, lr"]
    assert path.read_bytes() == before
    assert made.read_bytes().startswith(find_weights(path).layout.header)
    assert dict(read_header(made).metadata) == {"format": "pt"}


def test_shards_of_both_formats_are_converted_by_one_child(
    tmp_path: Path, _temporary: Path
) -> None:
    tied = torch.randn(4, 3)
    states = [{"a": tied, "b": tied, "c": tied.t()}, {"d": torch.ones(2).half()}]
    paths = [tmp_path / "one.bin", tmp_path / "two.pth"]
    for path, state, is_zip in zip(paths, states, (True, False), strict=True):
        torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    made = convert_all(paths)
    assert all(map(same, made, states))
    assert sorted(_temporary.iterdir()) == sorted(made)


@pytest.mark.parametrize("key", [*weights_only.WRAPPERS, None])
def test_a_state_dict_is_found_where_training_scripts_put_it(path: Path, key: str | None) -> None:
    beside = {"step": 1, "args": [1, "x"], "ema": {"w": torch.ones(1)}} if key else {}
    torch.save({key: STATE, **beside} if key else STATE, path)
    found = find_weights(path)
    assert (found.key, list(found.tensors)) == (key, ["w", "b"])
    assert found.ignored == tuple(beside)


def test_what_has_no_values_in_a_state_dict_is_left_out(path: Path) -> None:
    torch.save({**STATE, "a._extra_state": None, "version": 3, "names": ["x"]}, path)
    assert find_weights(path).ignored == ("a._extra_state", "version", "names")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"model": STATE, "state_dict": STATE}, "it holds several, 'state_dict' and 'model'"),
        ({"ema": STATE, "net": {"g": STATE}, "n": 1}, "its tensors lie in 'ema', 'net'"),
        ({"n": 1}, "it has no tensor"),
        ({}, "it has no tensor"),
        ({**STATE, "more": [{"x": torch.ones(1)}]}, "'more' has tensors in it"),
        ({"model": {"a": {"w": torch.ones(1)}}}, "its tensors lie in 'model'"),
        ({1: torch.ones(1)}, "is called 1, which is no name"),
        ([torch.ones(1)], "it holds a value of type list"),
        (torch.ones(1), "it holds one tensor"),
        (3, "it holds a value of type int"),
    ],
)
def test_which_tensors_are_meant_is_never_guessed(path: Path, value: object, why: str) -> None:
    torch.save(value, path)
    with pytest.raises(DataError, match=f"{path.name} has no single state dict: .*{why}") as caught:
        convert(path)
    assert "model.state_dict()" in str(caught.value.help)


def test_a_tensor_that_grows_without_measure_is_refused(path: Path) -> None:
    torch.save({"w": torch.ones(1).expand(10**9, 10**6)}, path)
    with pytest.raises(UnsafeFileError, match="tensor 'w' would take 4 000 000 000 000 000 bytes"):
        convert(path)
    whole = torch.ones(10**5)
    torch.save({f"w{i}": whole for i in range(40)}, path)
    with pytest.raises(UnsafeFileError, match="its 40 tensors would take 16 000 000 bytes"):
        convert(path)


def test_a_full_disk_is_known_before_the_first_byte(
    path: Path, _temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(STATE, path)

    class Usage:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda place: Usage)
    with pytest.raises(OutputError, match=r"bytes are needed in .*temporary, and 10 are free"):
        convert(path)
    assert not list(_temporary.iterdir())


def test_a_child_that_fails_leaves_nothing(
    path: Path, _temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(STATE, path)
    monkeypatch.setattr(weights_only, "run_module", lambda *a, **k: "it was killed")
    with pytest.raises(DataError, match=f"{path.name} cannot be converted: .* it was killed"):
        convert(path)
    assert not list(_temporary.iterdir())


def test_a_file_that_changes_meanwhile_is_noticed(
    path: Path, _temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(STATE, path)
    monkeypatch.setattr(weights_only, "run_module", lambda *a, **k: path.write_bytes(b"x") and None)
    with pytest.raises(DataError, match="was changed while it was read"):
        convert(path)
    assert not list(_temporary.iterdir())


def test_a_child_that_writes_another_header_is_not_believed(
    path: Path, _temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(STATE, path)

    def lie(*_: object, **__: object) -> None:
        (target,) = _temporary.iterdir()
        target.write_bytes(target.read_bytes().replace(b"[2,3]", b"[3,2]"))

    monkeypatch.setattr(weights_only, "run_module", lie)
    with pytest.raises(DataError, match="what was written is not what it described"):
        convert(path)
    assert not list(_temporary.iterdir())

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from alnico.errors import DataError, UnsafeFileError
from alnico.merging import sources
from alnico.merging.plan import Form, read_forms
from alnico.merging.sources import in_groups, open_source


def test_the_header_alone_gives_the_forms_of_the_tensors(save: Callable[..., Path]) -> None:
    state = {"w": torch.randn(2, 3).to(torch.bfloat16), "n": torch.tensor(3), "e": torch.ones(0, 2)}
    path = save("cats", state)
    source = open_source(str(path))
    assert source.path == path and source.forms == read_forms("cats", state)
    assert list(source.read(["n"])) == ["n"] and torch.equal(source.read(["w"])["w"], state["w"])


def test_what_is_not_there_or_a_folder_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*none\.safetensors\n  help: check"):
        open_source(tmp_path / "none.safetensors")
    with pytest.raises(DataError, match=r"is a folder, .*\n  help: give a \.safetensors file"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.pth", "model.safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_whatever_it_is_called(name: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    torch.save(nn.Linear(2, 2).state_dict(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeFileError, match=r"a pickle.*\n  help: .*\.safetensors"):
        open_source(path)


def test_a_pickle_that_would_run_code_does_not_run_it(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps({"w": Trap()}))
    with pytest.raises(UnsafeFileError, match=r"model\.bin is refused: a pickle that would call"):
        open_source(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda data: data[:-4], "its tensors take"),
        (lambda data: data[:40], "more than the file has"),
        (lambda data: data[:5], "too few for a header"),
        (lambda data: data.replace(b"[8,5]", b"[9,5]"), "needs 180 bytes and has 160"),
    ],
)
def test_truncated_and_lying_files_are_refused(
    save: Callable[..., Path], spoil: Callable[[bytes], bytes], fault: str
) -> None:
    path = save("cats")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UnsafeFileError, match=rf"cats\.safetensors is refused: .*{fault}"):
        open_source(path)


def test_a_file_that_changes_meanwhile_is_noticed(save: Callable[..., Path]) -> None:
    source = open_source(save("cats"))
    source.check_unchanged()
    save("cats")
    os.utime(source.path, ns=(1, 1))
    with pytest.raises(DataError, match=r"cats\.safetensors was changed while it was read"):
        source.check_unchanged()


def test_groups_hold_every_name_once_and_no_more_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "GROUP_BYTES", 100)
    forms = {f"w{i}": Form(torch.float32, (size,)) for i, size in enumerate((10, 10, 10, 90, 1, 1))}
    forms["n"] = Form(torch.int64, (50,))
    groups = list(in_groups(forms))
    assert groups == [["n"], ["w0", "w1"], ["w2"], ["w3"], ["w4", "w5"]]
    assert list(in_groups({})) == []

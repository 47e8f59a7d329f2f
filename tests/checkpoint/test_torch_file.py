"""Both formats of torch, as it writes them and with one thing in them changed."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from alnico.checkpoint.torch_file import MAX_PICKLE, check_sums, is_torch, read_torch
from alnico.checkpoint.views import View
from alnico.errors import DataError, UnsafeFileError

STATE = {"w": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


def saved(value: object = STATE, *, is_zip: bool = True) -> bytes:
    made = io.BytesIO()
    torch.save(value, made, _use_new_zipfile_serialization=is_zip)
    return made.getvalue()


def rezipped(
    changes: dict[str, bytes | None], *, method: int = zipfile.ZIP_STORED, data: bytes = b""
) -> bytes:
    """What torch saves with members replaced, left out or added."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data or saved())) as old,
        zipfile.ZipFile(made, "w", method) as new,
    ):
        members = {name: old.read(name) for name in old.namelist()} | changes
        for name, content in members.items():
            if content is not None:
                new.writestr(name, content)
    return made.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.bin"


def look(path: Path, data: bytes) -> object:
    path.write_bytes(data)
    return read_torch(path).value


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UnsafeFileError) as caught:
        read_torch(path)
    assert caught.value.message.startswith(f"{path} is refused: ") and caught.value.help
    return caught.value.message


@pytest.mark.parametrize("is_zip", [True, False])
def test_both_formats_are_described_alike(path: Path, is_zip: bool) -> None:
    found = look(path, saved(is_zip=is_zip))
    assert isinstance(found, dict)
    shapes = {name: (view.dtype, view.shape) for name, view in found.items()}
    assert shapes == {"w": ("F32", (2, 3)), "b": ("BF16", (2,))}
    assert is_torch(path) and read_torch(path).is_zip == is_zip


def test_a_storage_is_known_by_all_who_view_it(path: Path) -> None:
    for is_zip in (True, False):
        found = look(path, saved([STATE["w"], STATE["w"].t()], is_zip=is_zip))
        assert isinstance(found, list) and isinstance(found[0], View)
        assert found[0].storage == found[1].storage and found[1].shape == (3, 2)


@pytest.mark.parametrize(
    "data", [b"", b"PK", pickle.dumps({}), b"PK\x03\x04" + bytes(99), b"\x80\x02.", bytes(99)]
)
def test_other_files_are_not_torchs(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert not is_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", data)
    assert not is_torch(path)


def test_a_zip_is_refused_for_every_member_that_torch_would_not_write(path: Path) -> None:
    for changes, why in (
        ({"archive/code/a.py": b"import os"}, "TorchScript archive, which holds code"),
        ({"archive/constants.pkl": b"N."}, "TorchScript archive, which holds code"),
        ({"archive/evil.pkl": b"N."}, "'archive/evil.pkl' is none that torch.save writes"),
        ({"archive/data/../x": b"N."}, "is none that torch.save writes"),
        ({"other/data/0": b"N."}, "lies beside its folder"),
        ({"archive/data.pkl": None}, "without data.pkl"),
        ({"archive/data/0": None}, "data/0 is missing: 24 are claimed"),
        ({"archive/data/0": bytes(23)}, "data/0 has 23 bytes: 24 are claimed"),
        ({"archive/data/1": bytes(99)}, "data/1 has 99 bytes: 4 are claimed"),
        ({"archive/data.pkl": b"\x80\x02N.N."}, "something comes behind its pickle"),
    ):
        assert why in refused(path, rezipped(changes))


def test_packed_members_are_refused_before_they_are_unpacked(path: Path) -> None:
    bomb = rezipped({"archive/data/0": bytes(10**7)}, method=zipfile.ZIP_DEFLATED)
    assert "is packed, as torch.save packs none" in refused(path, bomb)
    large = rezipped({"archive/data.pkl": bytes(MAX_PICKLE + 1)})
    assert "has 16 777 217 bytes" in refused(path, large)


def test_two_members_of_one_name_are_refused(path: Path) -> None:
    made = io.BytesIO(saved())
    with (
        zipfile.ZipFile(made, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("archive/data/0", bytes(24))
    assert "has two members 'archive/data/0'" in refused(path, made.getvalue())


def test_members_that_claim_the_same_bytes_are_refused(path: Path) -> None:
    data = saved({"w": torch.ones(9999), "b": torch.ones(9999)})
    size, larger = (9999 * 4).to_bytes(4, "little"), (10**8).to_bytes(4, "little")
    index = data.index(b"PK\x01\x02")
    assert data.count(size, index) == 4  # each twice: packed and unpacked
    changed = data[:index] + data[index:].replace(size, larger)
    assert "its members claim more bytes than it has" in refused(path, changed)


@pytest.mark.parametrize("is_zip", [True, False])
def test_big_endian_files_are_told_from_damaged_ones(path: Path, is_zip: bool) -> None:
    if is_zip:
        data = rezipped({"archive/byteorder": b"big"})
    else:
        data = saved(is_zip=False).replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89")
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be read: its numbers are big-endian"):
        read_torch(path)
    if is_zip:
        assert look(path, rezipped({"archive/byteorder": None}))


def test_the_older_format_is_checked_to_its_last_byte(path: Path) -> None:
    data = saved({"w": STATE["w"]}, is_zip=False)
    for changed, why in (
        (data[:-1], "it is cut: storage"),
        (data + b"x", "1 bytes come behind its last storage"),
        (data[:200], "its pickle cannot be followed"),
        (data.replace(b"M\xe9\x03.", b"M\xe8\x03.", 1), "has the version 1000, and 1001 is known"),
        (data[:-32] + b"\x05" + data[-31:], "has not the size that is claimed"),
    ):
        assert why in refused(path, changed)
    index = data.index(b"\x80\x02]q\0X")
    assert "does not list the storages" in refused(path, data[:index] + b"\x80\x02]." + bytes(50))


@pytest.mark.parametrize("n", range(20, 1100, 90))
def test_a_file_that_is_cut_is_refused(path: Path, n: int) -> None:
    for is_zip in (True, False):
        data = saved(is_zip=is_zip)
        assert refused(path, data[: min(n, len(data) - 1)])


def test_a_changed_byte_is_found_by_its_checksum(path: Path) -> None:
    data = saved()
    path.write_bytes(data)
    check_sums(path)
    place = data.index(STATE["w"].numpy().tobytes())
    path.write_bytes(data[:place] + b"\x01" + data[place + 1 :])
    read_torch(path)
    with pytest.raises(UnsafeFileError, match=r"Bad CRC-32 for file 'archive/data/0'"):
        check_sums(path)


def test_a_safetensors_file_under_another_name_is_told(path: Path) -> None:
    path.write_bytes(save({"w": torch.ones(2)}))
    assert not is_torch(path)
    with pytest.raises(DataError, match="is a safetensors file by its content"):
        read_torch(path)


def test_a_missing_file_is_an_error(path: Path) -> None:
    for function in (is_torch, read_torch):
        with pytest.raises(DataError, match="there is no file"):
            function(path)

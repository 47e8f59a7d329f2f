"""Archives that were made to mislead or to overwhelm, beside plain ones of the library's."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import time
import zipfile
from collections.abc import Callable
from typing import BinaryIO

import pytest

from alnico.checkpoint.archives import (
    LIMIT,
    MAX_INFLATED,
    MAX_MEMBERS,
    MAX_STEPS,
    ArchiveError,
    Budget,
    Careful,
    forms_of,
    members,
)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def tarred(files: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def special(kind: bytes, link: str = "") -> bytes:
    made, info = io.BytesIO(), tarfile.TarInfo("x")
    info.type, info.linkname = kind, link
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(info)
    return made.getvalue()


def read(data: bytes, name: str = "x") -> dict[str, bytes]:
    file = io.BytesIO(data)
    (form,) = forms_of(file)
    return {m.name: m.head(1000) for m in members(file, form, name, Budget())}


FILES = {"a.txt": b"one", "folder/b": b"two" * 1000}
HEADS = {name: data[:1000] for name, data in FILES.items()}


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("zip", zipped(FILES)),
        ("zip", zipped(FILES, zipfile.ZIP_STORED)),
        ("zip", b"#!/bin/sh\n" + zipped(FILES)),
        ("zip", zipped({})),
        ("tar", tarred(FILES)),
        ("tar", tarred(FILES, tarfile.PAX_FORMAT)),
        ("tar", tarred(FILES, tarfile.USTAR_FORMAT)),
    ],
)
def test_members_of_plain_archives_are_read_in_order(form: str, data: bytes) -> None:
    assert forms_of(io.BytesIO(data)) == [form]
    found = read(data)
    assert found == (HEADS if b"a.txt" in data else {})


@pytest.mark.parametrize(
    ("form", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)]
)
def test_what_is_compressed_is_read_under_the_name_without_the_ending(
    form: str, pack: Callable[[bytes], bytes]
) -> None:
    data = pack(b"two" * 1000)
    assert forms_of(io.BytesIO(data)) == [form]
    assert read(data, "model.pkl.gz") == {"model.pkl": (b"two" * 1000)[:1000]}


@pytest.mark.parametrize("data", [b"", b"PK", b"text " * 200, bytes(2000), b"\x80\x04N."])
def test_what_is_no_archive_is_none(data: bytes) -> None:
    assert forms_of(io.BytesIO(data)) == []


def test_a_file_that_is_two_archives_at_once_is_both() -> None:
    both = tarred(FILES) + zipped(FILES)
    assert forms_of(io.BytesIO(both)) == ["tar", "zip"]
    assert forms_of(io.BytesIO(tarred({"x": zipped({}, zipfile.ZIP_STORED)}))) == ["tar", "zip"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..\\x", "C:\\x", "\\x"])
def test_a_member_that_leads_out_is_refused(name: str) -> None:
    for data in (zipped({name: b"1"}), tarred({name: b"1"})):
        with pytest.raises(ArchiveError, match="leads out of it"):
            read(data)


def test_links_and_devices_in_a_tar_are_refused() -> None:
    with pytest.raises(ArchiveError, match="leads out of it"):
        read(special(tarfile.SYMTYPE, "../../etc/passwd"))
    with pytest.raises(ArchiveError, match="neither a file nor a folder"):
        read(special(tarfile.FIFOTYPE))
    assert read(special(tarfile.SYMTYPE, "a.txt")) == {}


def test_a_name_twice_a_rare_method_and_a_password_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.writestr("x", b"1")
            archive.writestr("x", b"2")
    with pytest.raises(ArchiveError, match="two members 'x'"):
        read(made.getvalue())
    with pytest.raises(ArchiveError, match="packed in a rare way"):
        read(zipped({"x": b"1" * 100}, zipfile.ZIP_LZMA))
    encrypted = bytearray(zipped({"x": b"1"}))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ArchiveError, match="is encrypted"):
        read(bytes(encrypted))


def bomb(size: int) -> bytes:
    return zipped({f"{i}": bytes(size) for i in range(20)})


def test_a_bomb_is_not_inflated_beyond_what_is_asked_for() -> None:
    began = time.process_time()
    for data in (
        gzip.compress(bytes(10**8)),
        bz2.compress(bytes(10**7)),
        lzma.compress(bytes(10**7)),
    ):
        assert {name: len(head) for name, head in read(data).items()} == {"x": 1000}
    assert time.process_time() - began < 3
    file = io.BytesIO(bomb(5 * 10**6))
    with pytest.raises(ArchiveError, match="too large to be looked through"):
        for member in members(file, "zip", "x", Budget()):
            member.head(LIMIT)


def test_a_budget_ends_by_bytes_and_by_members() -> None:
    budget = Budget()
    budget.spend(MAX_INFLATED, members=MAX_MEMBERS, steps=MAX_STEPS)
    with pytest.raises(ArchiveError, match="more than 10000 members"):
        budget.spend(members=1)
    for too_much in ({"n_bytes": MAX_INFLATED + 1}, {"steps": MAX_STEPS + 1}):
        with pytest.raises(ArchiveError, match="too large"):
            Budget().spend(**too_much)


class Endless(io.RawIOBase):
    """A file that never ends."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        return len(buffer)


@pytest.mark.parametrize("size", [-1, None, LIMIT + 1, 2**60])
def test_a_careful_file_is_never_read_in_one_large_piece(size: int | None) -> None:
    file: BinaryIO = Careful(Endless())
    assert len(file.read(LIMIT)) == LIMIT
    with pytest.raises(ArchiveError, match="bytes at once"):
        file.read(size)  # type: ignore[arg-type]

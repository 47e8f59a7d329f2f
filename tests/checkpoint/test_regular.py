"""Files that are cut, changed, replaced, or are none; and real ones, read from many threads."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alnico.checkpoint.regular import RegularFile
from alnico.errors import DataError, UnsafeFileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "x").write_bytes(bytes(range(256)) * 100)
    return tmp_path / "x"


def test_any_stretch_of_bytes_is_read_from_many_threads_at_once(path: Path) -> None:
    data = path.read_bytes()
    stretches = [(i * 97 % 20_000, i * 31 % 5_000) for i in range(200)]
    with RegularFile(path) as file, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda stretch: file.read(*stretch), stretches))
    assert all(
        part == data[start : start + n] for part, (start, n) in zip(found, stretches, strict=True)
    )


def test_the_end_of_a_file_is_not_passed_in_silence(path: Path) -> None:
    with RegularFile(path, name=Path("what.bin")) as file:
        assert file.size == 25_600 and file.read(25_600, 0) == b""
        os.truncate(path, 1_000)  # a mapped file would now end the process
        with pytest.raises(DataError, match=r"what\.bin was cut while it was read"):
            file.read(0, 25_600)


@pytest.mark.parametrize("change", ["written", "longer", "replaced", "removed"])
def test_a_change_is_noticed(change: str, path: Path) -> None:
    with RegularFile(path) as file:
        file.check_unchanged()
        if change == "written":
            os.utime(path, ns=(0, time.time_ns() + 10**9))
        elif change == "longer":
            path.write_bytes(bytes(30_000))
        elif change == "replaced":
            (path.parent / "y").write_bytes(path.read_bytes())
            os.utime(path.parent / "y", ns=(0, path.stat().st_mtime_ns))
            (path.parent / "y").replace(path)
        else:
            path.unlink()
        with pytest.raises(DataError, match="x was changed while it was read"):
            file.check_unchanged()


def test_what_is_no_plain_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))  # its whole path may be too long
        for name in ("pipe", "link", "socket", "."):
            with pytest.raises(UnsafeFileError, match="it is not a plain file"):
                RegularFile(tmp_path / name)


def test_why_a_file_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "file").touch()
    for name, fault in (
        ("none", "there is no file .*none"),
        ("file/in it", "there is no file"),
        ("round", "cannot be read: Too many levels of symbolic links"),
        ("x" * 300, "cannot be read: File name too long"),
    ):
        with pytest.raises(DataError, match=fault):
            RegularFile(tmp_path / name)


def test_too_many_open_files_are_said_with_the_way_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataError, match="Too many open files\n  help: raise the limit"):
        RegularFile(path)


def test_a_closed_file_gives_its_descriptor_back_once(path: Path) -> None:
    before = n_open()
    with RegularFile(path) as file:
        assert n_open() == before + 1
        file.close()
    assert n_open() == before


def n_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())

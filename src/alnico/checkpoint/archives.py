"""What is in zip, tar and compressed files: only ever so much is read, nothing is unpacked."""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Literal, TypeAlias

LIMIT = 4 * 2**20
"""The most bytes that are read at once, and of one member."""

MAX_MEMBERS = 10_000
MAX_INFLATED = 64 * 2**20
MAX_STEPS = 1_000_000
"""How many opcodes of pickles are followed in all the members of one file."""

Form: TypeAlias = Literal["zip", "tar", "gzip", "bzip2", "xz"]

_COMPRESSED: dict[bytes, tuple[Form, Callable[[bytes, int], bytes]]] = {
    b"\x1f\x8b": ("gzip", lambda data, n: zlib.decompressobj(wbits=31).decompress(data, n)),
    b"BZh": ("bzip2", lambda data, n: bz2.BZ2Decompressor().decompress(data, n)),
    b"\xfd7zXZ\0": (
        "xz",
        lambda data, n: lzma.LZMADecompressor(memlimit=2**27).decompress(data, n),
    ),
}
"""First bytes -> the form, and what gives at most so many bytes of the first stream."""

_PLAIN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others inflate without a bound

FAULTS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What the library's readers raise when a file is not what it says."""


class ArchiveError(ValueError):
    """An archive that is refused, and why."""


class Careful(io.BufferedReader):
    """A file that refuses to be read in one piece if the piece is too large."""

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes.

        Raises:
            ArchiveError: If they are more than `LIMIT`.
        """
        asked = LIMIT + 1 if size is None or size < 0 else size
        data = super().read(min(asked, LIMIT + 1))
        if len(data) > LIMIT:
            raise ArchiveError(f"it asks for more than {LIMIT} bytes at once")
        return data


class Budget:
    """How much of one file may still be looked at, archives inside archives included."""

    def __init__(self) -> None:
        self._bytes = MAX_INFLATED
        self._members = MAX_MEMBERS
        self._steps = MAX_STEPS

    def spend(self, n_bytes: int = 0, *, members: int = 0, steps: int = 0) -> None:
        """Count what was read.

        Raises:
            ArchiveError: If it was too much.
        """
        self._bytes -= n_bytes
        self._members -= members
        self._steps -= steps
        if self._members < 0:
            raise ArchiveError(f"it has more than {MAX_MEMBERS} members")
        if self._bytes < 0 or self._steps < 0:
            raise ArchiveError("it is too large to be looked through")


@dataclass(frozen=True)
class Member:
    """A file inside an archive.

    Args:
        name: What the archive calls it.
        size: Its bytes, as the archive says; None if it does not.
        head: Gives its first bytes, as many as are asked for.
    """

    name: str
    size: int | None
    head: Callable[[int], bytes]


def forms_of(file: BinaryIO) -> list[Form]:
    """Which forms of archive a file is by its content: a file can be several at once."""
    file.seek(0)
    block = file.read(512)
    found = [form for magic, (form, _) in _COMPRESSED.items() if block.startswith(magic)]
    if _is_tar(block):
        found.append("tar")
    if block.startswith(b"PK\x03\x04") or zipfile.is_zipfile(file):  # the latter looks at its end
        found.append("zip")
    return found


def _is_tar(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def members(file: BinaryIO, form: Form, name: str, budget: Budget) -> Iterator[Member]:
    """The files in an archive, in its order.

    Args:
        file: The archive.
        form: One that `forms_of` says.
        name: What it is called.
        budget: Of what may be read.

    Raises:
        ArchiveError: If a member leads out of it, or it was made to mislead or to overwhelm.
    """
    file.seek(0)
    if form == "zip":
        yield from _zipped(file, budget)
    elif form == "tar":
        yield from _tarred(file, budget)
    else:
        inflate = next(function for kind, function in _COMPRESSED.values() if kind == form)
        packed = file.read(LIMIT)
        stem = PurePosixPath(name).stem

        def head(n: int) -> bytes:
            return _spent(inflate(packed, n), budget)

        yield Member(stem, None, head)


def _zipped(file: BinaryIO, budget: Budget) -> Iterator[Member]:
    seen: set[str] = set()
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            budget.spend(members=1)
            _check_name(info.filename)
            if info.filename in seen:
                raise ArchiveError(f"it has two members {info.filename!r}")
            seen.add(info.filename)
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                raise ArchiveError(f"its member {info.filename!r} is encrypted")
            if info.compress_type not in _PLAIN_METHODS:
                raise ArchiveError(f"its member {info.filename!r} is packed in a rare way")

            def head(n: int, info: zipfile.ZipInfo = info) -> bytes:
                with archive.open(info) as member:
                    return _spent(member.read(n), budget)

            yield Member(info.filename, info.file_size, head)


def _tarred(file: BinaryIO, budget: Budget) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for info in archive:
            budget.spend(members=1)
            _check_name(info.name)
            if info.issym() or info.islnk():
                _check_name(info.linkname)
            elif not (info.isfile() or info.isdir()):
                raise ArchiveError(f"its member {info.name!r} is neither a file nor a folder")
            if not info.isfile():
                continue

            def head(n: int, info: tarfile.TarInfo = info) -> bytes:
                member = archive.extractfile(info)
                assert member is not None
                return _spent(member.read(n), budget)

            yield Member(info.name, info.size, head)


def _spent(data: bytes, budget: Budget) -> bytes:
    budget.spend(len(data))
    return data


def _check_name(name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        raise ArchiveError(f"its member {name!r} leads out of it")

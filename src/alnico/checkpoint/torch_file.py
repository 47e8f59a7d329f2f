"""PyTorch's two file formats, read without torch: what they hold, and whether it is all there."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from alnico.checkpoint import inert, pickles
from alnico.checkpoint.archives import FAULTS, Careful
from alnico.checkpoint.inert import ForbiddenError, UnsupportedError
from alnico.checkpoint.regular import RegularFile
from alnico.checkpoint.views import Storage, UnsoundError
from alnico.errors import DataError, UnsafeFileError
from alnico.progress import spaced

MAX_PICKLE = 16 * 2**20
"""The most bytes of a pickle; 100 000 tensors need about so many."""

_ZIP = b"PK\x03\x04"
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of torch's magic number
_BLOCK = 2**20
_NOTES = {"version", ".format_version", ".storage_alignment", ".data/serialization_id"}
_SAFE = "get it as .safetensors; alnico runs no code from files, and no flag forces it"
_AGAIN = "it is damaged or was made to mislead; get it again from its source"


@dataclass(frozen=True)
class TorchFile:
    """What a file of PyTorch's holds.

    Args:
        value: What was saved: mappings, lists and numbers, with a `View` for each tensor.
        is_zip: Whether it has the format of torch 1.6 and later, which can be mapped.
    """

    value: object
    is_zip: bool


def is_torch(path: Path) -> bool:
    """Whether a file has one of PyTorch's formats by its content; its name tells nothing.

    Raises:
        DataError: If it cannot be read.
        UnsafeFileError: If it is not a plain file.
    """
    with RegularFile(path) as file:
        head = bytes(file.read(0, min(file.size, len(_MAGIC))))
    if not head.startswith(_ZIP):
        return head == _MAGIC
    try:
        with _opened(path) as opened, zipfile.ZipFile(opened) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except FAULTS:
        return False


def read_torch(path: Path) -> TorchFile:
    """Describe what a file holds; no tensor is read, and nothing of it is run.

    Raises:
        DataError: If it cannot be read, or holds tensors without plain values.
        UnsafeFileError: If it would run code, is damaged, or lies.
    """
    with _explained(path), RegularFile(path) as file:
        if bytes(file.read(0, min(file.size, len(_ZIP)))) != _ZIP:
            head = bytes(file.read(0, min(file.size, MAX_PICKLE)))
            return TorchFile(_read_legacy(file, head), is_zip=False)
        with _opened(path) as opened:
            return TorchFile(_read_zip(opened, file.size), is_zip=True)


def check_sums(path: Path) -> None:
    """Read a zip to its end and compare the checksums, which torch does not.

    Raises:
        DataError: If it cannot be read.
        UnsafeFileError: If one differs.
    """
    with _explained(path), _opened(path) as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                while member.read(_BLOCK):
                    pass


def _read_zip(file: BinaryIO, n_bytes: int) -> object:
    with zipfile.ZipFile(file) as archive:
        members = _members(archive, n_bytes)
        if "data.pkl" not in members:
            raise UnsoundError("it is a zip without data.pkl: torch.save writes one")
        order = members.get("byteorder")
        if order is not None and _content(archive, order) != b"little":
            raise UnsupportedError("its numbers are big-endian")
        storages: dict[str, Storage] = {}
        data = _content(archive, members["data.pkl"])
        try:
            value = inert.read_bytes(data, storages)
        except ForbiddenError as error:
            raise _worst(data, error) from None
    for key, storage in storages.items():
        member = members.get(f"data/{key}")
        if member is None or member.file_size != storage.n_bytes:
            has = "is missing" if member is None else f"has {spaced(member.file_size)} bytes"
            needs = f"{spaced(storage.n_bytes)} are claimed"
            raise UnsoundError(f"its member data/{key} {has}: {needs}")
    return value


def _members(archive: zipfile.ZipFile, n_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Name below the one folder -> member; only those that torch.save writes, none packed."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        folder, _, name = info.filename.partition("/")
        if folder != archive.infolist()[0].filename.partition("/")[0]:
            raise UnsoundError(f"its member {info.filename!r} lies beside its folder")
        if name in found:
            raise UnsoundError(f"it has two members {info.filename!r}")
        if name.startswith("code/") or name == "constants.pkl":
            raise UnsoundError("it is a TorchScript archive, which holds code")
        if name not in _NOTES | {"data.pkl", "byteorder"} and not _is_data(name):
            raise UnsoundError(f"its member {info.filename!r} is none that torch.save writes")
        if info.flag_bits & 1 or info.compress_type != zipfile.ZIP_STORED:
            raise UnsoundError(f"its member {info.filename!r} is packed, as torch.save packs none")
        found[name] = info
    if sum(info.file_size for info in found.values()) > n_bytes:
        raise UnsoundError("its members claim more bytes than it has")
    return found


def _is_data(name: str) -> bool:
    return name.startswith("data/") and name[5:].isalnum()


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > MAX_PICKLE:
        raise UnsoundError(f"its member {info.filename!r} has {spaced(info.file_size)} bytes")
    made = io.BytesIO()
    with archive.open(info) as member:
        while block := member.read(_BLOCK):
            made.write(block)
    return made.getvalue()


def _read_legacy(file: RegularFile, head: bytes) -> object:
    """The format before torch 1.6: five pickles, then the storages one after the other."""
    if not head.startswith(_MAGIC):
        if head[8:9] == b"{":
            raise DataError(
                f"{file.name} is a safetensors file by its content", help="name it .safetensors"
            )
        raise _no_torch(head)
    stream, storages = io.BytesIO(head), dict[str, Storage]()
    try:
        _, version, system, value, keys = (inert.read(stream, storages) for _ in range(5))
    except ForbiddenError as error:
        raise _worst(head, error) from None
    if version != 1001 or not isinstance(system, dict):
        raise UnsoundError(f"its format has the version {str(version)[:20]}, and 1001 is known")
    if system.get("little_endian") is not True:
        raise UnsupportedError("its numbers are big-endian")
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise UnsoundError("it does not list the storages that its tensors are views of")
    _check_storages(file, stream.tell(), [storages[str(key)] for key in keys])
    return value


def _check_storages(file: RegularFile, at: int, storages: list[Storage]) -> None:
    """Before each storage stands how many values it has; the last one ends the file."""
    for storage in storages:
        end = at + 8 + storage.n_bytes
        if end > file.size:
            raise UnsoundError(f"it is cut: storage {storage.key} would end at byte {end}")
        if int.from_bytes(file.read(at, 8), "little") != storage.n_values:
            raise UnsoundError(f"storage {storage.key} has not the size that is claimed")
        at = end
    if at != file.size:
        raise UnsoundError(f"{spaced(file.size - at)} bytes come behind its last storage")


def _no_torch(head: bytes) -> UnsoundError:
    found = pickles.trace(head)
    if pickles.is_pickle(head, found) and found.worst is not None:
        return _worst(head, ForbiddenError())
    return UnsoundError("it is none that torch.save writes, by its first bytes")


def _worst(data: bytes, error: ForbiddenError) -> ForbiddenError:
    """The error with the first call in it, if the pickle calls what it must not import."""
    use = pickles.trace(data).worst
    if use is None:
        return error
    return ForbiddenError(f"its pickle would {use.how} {use.name} at byte {use.byte}")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb", buffering=0) as raw, Careful(raw) as file:
        yield cast("BinaryIO", file)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what a reader finds into an error that names the file."""
    try:
        yield
    except (DataError, UnsafeFileError):
        raise
    except UnsupportedError as error:
        raise DataError(
            f"{path} cannot be read: {error}",
            help="load it in torch, make its tensors plain ones, and save it as .safetensors",
        ) from None
    except UnsoundError as error:
        help = _SAFE if isinstance(error, ForbiddenError) else _AGAIN
        raise UnsafeFileError(f"{path} is refused: {error}", help=help) from None
    except FAULTS as error:
        raise UnsafeFileError(
            f"{path} is refused: its zip cannot be read: {error or type(error).__name__}",
            help=_AGAIN,
        ) from None

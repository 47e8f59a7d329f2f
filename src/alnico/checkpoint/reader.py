"""Safetensors files, read without trust: the header is checked by our own rules before any use."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from alnico.checkpoint import strict_json
from alnico.errors import DataError, UnknownNameError, UnsafeFileError
from alnico.registry import suggest
from alnico.types import StateDict

MAX_HEADER = 100_000_000
MAX_AXES = 64
MAX_LENGTH = 2**63 - 1
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
"""The format's name of each dtype -> torch's."""


@dataclass(frozen=True)
class Entry:
    """What the header says of one tensor.

    Args:
        dtype: The format's name of it, e.g. `BF16`.
        shape: Its lengths.
        start: Its first byte, counted from the end of the header.
        end: The byte after its last.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """A checked header.

    Args:
        tensors: Name -> entry, in the order of the file.
        metadata: The file's own notes.
    """

    tensors: Mapping[str, Entry]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file; no tensor is read.

    Raises:
        DataError: If there is no such file.
        UnsafeFileError: If anything in it is not exactly as the format says.
    """
    text, n_data = _read_text(path)
    try:
        found = strict_json.parse(text)
    except ValueError as error:
        raise _refusal(path, f"its header is not sound JSON: {_short(error)}") from None
    assert isinstance(found, dict)  # it is in braces
    metadata = found.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _refusal(path, "its __metadata__ is not a mapping of strings")
    tensors = {name: _read_entry(path, name, entry) for name, entry in found.items()}
    _check_layout(path, tensors, n_data)
    return Header(tensors, metadata)


def read_tensors(path: Path, names: Iterable[str] | None = None) -> StateDict:
    """Read tensors of a safetensors file into memory of their own.

    Args:
        path: The file; its header is checked first.
        names: Which tensors; None reads all.

    Raises:
        DataError: If there is no such file.
        UnsafeFileError: If it is not exactly as the format says.
        UnknownNameError: If it has no tensor of a name.
    """
    header = read_header(path)
    wanted = list(header.tensors) if names is None else list(names)
    for name in wanted:
        if name not in header.tensors:
            raise UnknownNameError(
                f"{path} has no tensor {name!r}",
                help=suggest(name, header.tensors, all_of_them="its tensors are"),
            )
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).clone() for name in wanted}
    except SafetensorError as error:
        raise _refusal(path, str(error)) from error


def _read_text(path: Path) -> tuple[bytes, int]:
    """The bytes of the header, and how many bytes of data follow it."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"there is no file {path}") from None
    if not stat.S_ISREG(found.st_mode):
        raise _refusal(path, "it is not a plain file")
    if found.st_size < 8:
        raise _refusal(path, f"it has {found.st_size} bytes, too few for a header")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise _refusal(path, f"its header claims {length} bytes, more than {MAX_HEADER}")
        if length > found.st_size - 8:
            raise _refusal(path, f"its header claims {length} bytes, more than the file has")
        text = file.read(length)
    if not text.startswith(b"{") or not text.rstrip(b" ").endswith(b"}"):
        raise _refusal(path, "its header is not in braces")
    return text, found.st_size - 8 - length


def _read_entry(path: Path, name: str, entry: object) -> Entry:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _refusal(path, f"tensor {name!r} has not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _refusal(path, f"tensor {name!r} has the unknown dtype {dtype!r}")
    if not _are_lengths(shape) or len(shape) > MAX_AXES:
        raise _refusal(path, f"tensor {name!r} has a shape that is none: {_short(shape)}")
    if not _are_lengths(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _refusal(path, f"tensor {name!r} has offsets that are none: {_short(offsets)}")
    if not name.isascii():
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise _refusal(path, f"a tensor has a name that is no text: {name!r}") from None
    start, end = offsets
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if needed != end - start:
        raise _refusal(path, f"tensor {name!r} needs {needed} bytes and has {end - start}")
    return Entry(dtype, tuple(shape), start, end)


def _check_layout(path: Path, tensors: Mapping[str, Entry], n_data: int) -> None:
    """Refuse tensors that overlap, leave holes, or do not fill the file to its last byte."""
    reached = 0
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != reached:
            fault = "overlaps another" if entry.start < reached else "leaves a hole before it"
            raise _refusal(path, f"tensor {name!r} {fault} at byte {entry.start}")
        reached = entry.end
    if reached != n_data:
        raise _refusal(path, f"its tensors take {reached} bytes, and {n_data} follow the header")


def _are_lengths(values: object) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value <= MAX_LENGTH for value in values
    )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _refusal(path: Path, fault: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{path} is not a sound safetensors file: {fault}",
        help="it is damaged or was made to mislead; get it again from its source",
    )

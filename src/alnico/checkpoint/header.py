"""What a safetensors file says of its tensors: checked by our own rules before any use.

No tensor is read here, and no torch is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeGuard

from alnico.checkpoint import strict_json
from alnico.checkpoint.regular import RegularFile
from alnico.errors import UnsafeFileError

MAX_HEADER = 100_000_000
MAX_TENSORS = 500_000
MAX_AXES = 64
MAX_LENGTH = 2**63 - 1
ARRAYS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "F8_E4M3": "|u1",
    "F8_E4M3FNUZ": "|u1",
    "F8_E5M2": "|u1",
    "F8_E5M2FNUZ": "|u1",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
    "C64": "<c8",
}
"""The format's name of each dtype -> numpy's, or of the integer that holds its bits."""

SIZES = {name: int(array[2:]) for name, array in ARRAYS.items()}
"""The bytes of one value."""

FLOATS = frozenset(name for name in ARRAYS if name.startswith(("F", "BF")))
"""The dtypes that have a mean; the others count, index or mask."""

_KEYS = {"dtype", "shape", "data_offsets"}


class Entry(NamedTuple):
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
class _Fault:
    """What is wrong with a tensor whose name is not known yet."""

    text: str


@dataclass(frozen=True)
class Header:
    """A checked header.

    Args:
        tensors: Name -> entry, in the order of the file.
        metadata: The file's own notes.
        n_bytes: How long it is; the tensors' bytes follow it.
    """

    tensors: Mapping[str, Entry]
    metadata: Mapping[str, str]
    n_bytes: int


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file; no tensor is read.

    Raises:
        DataError: If there is no such file, or it cannot be opened.
        UnsafeFileError: If anything in it is not exactly as the format says.
    """
    with RegularFile(path) as file:
        return header_of(file)


def header_of(file: RegularFile) -> Header:
    """The checked header of a file that is open.

    Raises:
        UnsafeFileError: If anything in it is not exactly as the format says.
    """
    path = file.name
    text = _read_text(file)
    try:
        found = strict_json.parse(text, mapping=_read_mapping)
    except ValueError as error:
        raise _refusal(path, f"its header is not sound JSON: {_short(error)}") from None
    if not isinstance(found, dict):
        raise _refusal(path, "its header is no mapping of names to tensors")
    metadata = found.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _refusal(path, "its __metadata__ is not a mapping of strings")
    for name, entry in found.items():
        _check_entry(path, name, entry)
    n_bytes = 8 + len(text)
    _check_layout(path, found, file.size - n_bytes)
    return Header(found, metadata, n_bytes)


def _read_text(file: RegularFile) -> bytearray:
    """The bytes of the header."""
    if file.size < 8:
        raise _refusal(file.name, f"it has {file.size} bytes, too few for a header")
    length = int.from_bytes(file.read(0, 8), "little")
    if length > MAX_HEADER:
        raise _refusal(file.name, f"its header claims {length} bytes, more than {MAX_HEADER}")
    if length > file.size - 8:
        raise _refusal(file.name, f"its header claims {length} bytes, more than the file has")
    text = file.read(8, length)
    if not text.startswith(b"{") or not text.rstrip(b" ").endswith(b"}"):
        raise _refusal(file.name, "its header is not in braces")
    n_tensors = text.count(b'"data_offsets"')  # each takes far more room than its text
    if n_tensors > MAX_TENSORS:
        raise _refusal(file.name, f"it claims {n_tensors} tensors, more than {MAX_TENSORS}")
    return text


def _read_mapping(found: dict[str, object]) -> object:
    """What a mapping in the header stands for: a tensor, a fault in one, or the mapping itself."""
    if found.keys() != _KEYS:
        return found
    dtype, shape, offsets = found["dtype"], found["shape"], found["data_offsets"]
    if isinstance(dtype, Entry | _Fault):
        return found  # of three tensors that are named like that
    if not isinstance(dtype, str) or dtype not in SIZES:
        return _Fault(f"has the unknown dtype {_short(repr(dtype))}")
    if not _are_lengths(shape) or len(shape) > MAX_AXES:
        return _Fault(f"has a shape that is none: {_short(shape)}")
    if not _are_lengths(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        return _Fault(f"has offsets that are none: {_short(offsets)}")
    start, end = offsets
    needed = math.prod(shape) * SIZES[dtype]
    if needed != end - start:
        return _Fault(f"needs {needed} bytes and has {end - start}")
    return Entry(dtype, tuple(shape), start, end)


def _check_entry(path: Path, name: str, entry: object) -> None:
    if isinstance(entry, _Fault):
        raise _refusal(path, f"tensor {name!r} {entry.text}")
    if not isinstance(entry, Entry):
        raise _refusal(path, f"tensor {name!r} has not exactly dtype, shape and data_offsets")
    if not name.isascii():
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise _refusal(path, f"a tensor has a name that is no text: {name!r}") from None


def _check_layout(path: Path, tensors: Mapping[str, Entry], n_data: int) -> None:
    """Refuse tensors that overlap, leave holes, or do not fill the file to its last byte."""
    reached = 0
    for name in sorted(tensors, key=lambda name: (tensors[name].start, tensors[name].end)):
        entry = tensors[name]
        if entry.start != reached:
            fault = "overlaps another" if entry.start < reached else "leaves a hole before it"
            raise _refusal(path, f"tensor {name!r} {fault} at byte {entry.start}")
        reached = entry.end
    if reached != n_data:
        raise _refusal(path, f"its tensors take {reached} bytes, and {n_data} follow the header")


def _are_lengths(values: object) -> TypeGuard[list[int]]:
    if not isinstance(values, list):
        return False
    for value in values:  # noqa: SIM110  # a generator doubles what a short list costs
        if type(value) is not int or not 0 <= value <= MAX_LENGTH:
            return False
    return True


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _refusal(path: Path, fault: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{path} is not a sound safetensors file: {fault}",
        help="it is damaged or was made to mislead; get it again from its source",
    )

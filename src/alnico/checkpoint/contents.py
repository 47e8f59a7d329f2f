"""What a file is by its content, and why it is refused: pickles in every form, Keras archives."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from alnico.checkpoint import pickles, strict_json
from alnico.checkpoint.archives import (
    FAULTS,
    LIMIT,
    ArchiveError,
    Budget,
    Form,
    Member,
    forms_of,
    members,
)

PICKLE_NAMES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill", ".p")
_HEAD = 64 * 2**10
_MAX_DEPTH = 4
_MAX_ARRAY_HEADER = 10_000  # as numpy itself
_HEADER_FAULTS = (
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMPY = b"\x93NUMPY"
_KERAS_MODULES = {"keras", "tf_keras", "builtins"}
_KERAS_CODE = ("Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer")


def danger(file: BinaryIO, name: str) -> str | None:
    """Why a file is refused, by its content and by its name; None if nothing speaks against it.

    Args:
        file: The file, opened; at most a stated share of it is read, and nothing is run.
        name: What it is called.
    """
    return _danger(file, name, Budget(), 0)


def _danger(file: BinaryIO, name: str, budget: Budget, depth: int) -> str | None:
    try:
        forms = forms_of(file)
        file.seek(0)
        found = _plain_danger(file.read(LIMIT), name, budget, is_archive=bool(forms))
        for form in forms:
            found = found or _archive_danger(file, form, name, budget, depth)
    except ArchiveError as error:
        return str(error)
    except FAULTS as error:
        return f"an archive that cannot be read: {error or type(error).__name__}"
    return found


def _plain_danger(data: bytes, name: str, budget: Budget, *, is_archive: bool) -> str | None:
    """What the beginning of a file is by itself."""
    places = (0, *(512 * 2**i for i in range(8)))
    if any(data.startswith(_HDF5, place) for place in places):
        return "an HDF5 file: it can hold Lambda layers, which are code, and links to other files"
    if data.startswith(_NUMPY):
        return _array_danger(data)
    found = pickles.trace(data)
    budget.spend(steps=found.n_opcodes)
    is_named_so = name.lower().endswith(PICKLE_NAMES)
    if pickles.is_pickle(data, found) or (is_named_so and found.end == "stop"):
        return _pickle_danger(found)
    if is_named_so and not is_archive:
        return "it is named like a pickle, and is nothing that is known"
    return None


def _pickle_danger(found: pickles.Trace) -> str:
    worst = found.worst
    if worst is not None:
        return f"a pickle that would {worst.how} {worst.name} at byte {worst.byte}"
    if found.end == "too long":
        return f"a pickle of more than {pickles.MAX_OPCODES} steps"
    return "a pickle; alnico reads none but weights of PyTorch"


def _array_danger(data: bytes) -> str | None:
    """An array of numpy's is harmless unless it holds objects, which are a pickle."""
    width = 2 if data[6:7] == b"\x01" else 4
    start = 8 + width
    length = int.from_bytes(data[8:start], "little")
    if length > _MAX_ARRAY_HEADER:
        return "an array whose header is too long"
    try:
        header = ast.literal_eval(data[start : start + length].decode("utf-8").strip())
        holds_objects = np.lib.format.descr_to_dtype(header["descr"]).hasobject
    except _HEADER_FAULTS:
        return "an array whose header cannot be read"
    if not holds_objects:
        return None
    worst = pickles.trace(data[start + length :]).worst
    calls = f" that would {worst.how} {worst.name}" if worst else ""
    return f"an array of objects, which is a pickle{calls}"


def _archive_danger(
    file: BinaryIO, form: Form, name: str, budget: Budget, depth: int
) -> str | None:
    if depth == _MAX_DEPTH:
        return f"archives in archives, more than {_MAX_DEPTH} deep"
    names: list[str] = []
    later = None
    for member in members(file, form, name, budget):
        names.append(member.name)
        fault = _keras_danger(member) if _is_config(member) else None
        fault = fault or _member_danger(member, budget, depth)
        if fault is not None and "HDF5" in fault:
            later = later or f"in {member.name}: {fault}"  # what else is in it may say more
        elif fault is not None:
            return f"in {member.name}: {fault}"
    if later is None and not names and name.lower().endswith(PICKLE_NAMES):
        return "it is named like a pickle, and is an empty archive"
    return later


def _member_danger(member: Member, budget: Budget, depth: int) -> str | None:
    data = member.head(_HEAD)
    is_cut = len(data) == _HEAD
    is_archive = bool(forms_of(io.BytesIO(data)))
    is_pickle = member.name.lower().endswith(PICKLE_NAMES)
    if is_cut and (is_archive or is_pickle):
        data = member.head(LIMIT)
        if is_archive and len(data) == LIMIT:
            return "an archive that is too large to be looked through"
    return _danger(io.BytesIO(data), member.name, budget, depth + 1)


def _is_config(member: Member) -> bool:
    return PurePosixPath(member.name).name == "config.json"


def _keras_danger(member: Member) -> str | None:
    """Code that the config of a Keras model names."""
    data = member.head(LIMIT)
    if len(data) == LIMIT:
        return "a config that is too large to be checked"
    try:
        config = strict_json.parse(data)
    except ValueError as error:
        return f"a config that is not sound JSON: {error}"
    for part in _mappings(config):
        class_name, module = part.get("class_name"), part.get("module")
        if class_name in _KERAS_CODE:
            return f"a {class_name} layer, which is code"
        if isinstance(module, str) and module.split(".")[0] not in _KERAS_MODULES:
            return f"a config that imports {module}.{class_name}"
    return None


def _mappings(value: object) -> Iterator[dict[str, object]]:
    """Every mapping in a JSON value."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)

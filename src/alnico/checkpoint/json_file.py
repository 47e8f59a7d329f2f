"""The JSON files of a model's folder, its config and its index: mappings of a bounded size."""

from __future__ import annotations

from pathlib import Path

from alnico.checkpoint import strict_json
from alnico.checkpoint.regular import RegularFile
from alnico.errors import DataError
from alnico.progress import spaced

CONFIG = "config.json"
MAX_CONFIG = 16 * 2**20
MAX_INDEX = 100_000_000
MAX_TOKENIZER = 200_000_000
MAX_DEPTH = 100


def read_config(path: Path) -> dict[str, object]:
    """Read a model's `config.json`; its numbers may be infinite, as some models' steps are.

    Raises:
        DataError: If it cannot be read, or is not a mapping in sound JSON.
        UnsafeFileError: If it is not a plain file.
    """
    return _read(path, MAX_CONFIG, infinite=True)


def read_index_file(path: Path) -> dict[str, object]:
    """Read the mapping that the index of a sharded model is.

    Raises:
        DataError: If it cannot be read, or is not a mapping in sound JSON.
        UnsafeFileError: If it is not a plain file.
    """
    return _read(path, MAX_INDEX, infinite=False)


def read_tokenizer_file(path: Path) -> dict[str, object]:
    """Read the mapping that a tokenizer's `tokenizer.json` or `vocab.json` is.

    Raises:
        DataError: If it cannot be read, or is not a mapping in sound JSON.
        UnsafeFileError: If it is not a plain file.
    """
    return _read(path, MAX_TOKENIZER, infinite=False)


def _read(path: Path, most: int, *, infinite: bool) -> dict[str, object]:
    with RegularFile(path) as file:
        if file.size > most:
            fault = f"it has {spaced(file.size)} bytes, more than {spaced(most)}"
            raise _refusal(path, fault)
        data = file.read(0, file.size)
    try:
        found = strict_json.parse(data, infinite=infinite)
    except ValueError as error:
        raise _refusal(path, str(error)) from None
    if not isinstance(found, dict):
        raise _refusal(path, "it is not a mapping")
    if _is_deeper(found, MAX_DEPTH):
        raise _refusal(path, f"it is nested more than {MAX_DEPTH} deep")
    return found


def _is_deeper(value: object, most: int) -> bool:
    """Whether mappings and lists lie in each other more than `most` deep."""
    layer = [value]
    for _ in range(most + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True


def _refusal(path: Path, fault: str) -> DataError:
    return DataError(
        f"{path} is not sound: {fault}", help="it is damaged; get it again from its source"
    )

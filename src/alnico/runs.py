"""The run folder: what a run leaves, as tensor files and one JSON record that holds their hashes.

    run.json                   everything that is no tensor, and the hash of every file, its own too
    model.safetensors          the network that predicts; enough alone with run.json
    members.safetensors        all others
    predictions.safetensors    rows, targets and scores on validation and test

What the record and the tensors mean is for the rooms above to say; no pickle is ever involved.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alnico.checkpoint import files, strict_json
from alnico.checkpoint.reader import read_tensors
from alnico.checkpoint.writer import write_tensors
from alnico.errors import OutputError, RunFolderError
from alnico.types import StateDict

RUN = "run.json"
MODEL = "model.safetensors"
MEMBERS = "members.safetensors"
PREDICTIONS = "predictions.safetensors"
TENSOR_FILES = (MODEL, MEMBERS, PREDICTIONS)

VERSION = 1
MAX_RECORD = 256 * 2**20
SEAL = "sha256"
WHAT_IT_IS = f"a run folder is what `alnico fit` writes; it has a {RUN} in it"
_OWN_KEYS = {"alnico_run", "files", SEAL}
_RESTORE = "copy the whole folder again from its source, or fit again"


@dataclass(frozen=True)
class Run:
    """A run folder whose record was read; its tensors are read when they are asked for.

    Args:
        folder: Where it lies.
        record: What `write_run` was given.
        files: Name -> SHA-256 and size of each tensor file.
    """

    folder: Path
    record: Mapping[str, Any]
    files: Mapping[str, Mapping[str, object]]
    _checked: set[str] = field(default_factory=set, repr=False, compare=False)

    def tensors(self, name: str, names: Iterable[str] | None = None) -> StateDict:
        """Read tensors of one of the folder's files; the first time, its hash is checked.

        Args:
            name: The file, e.g. `MODEL`.
            names: Which of its tensors; None reads all.

        Raises:
            RunFolderError: If the run has no such file, or it was changed after it was written.
            UnsafeFileError: If it is not a sound file of tensors.
            UnknownNameError: If it has no tensor of a name.
        """
        if name not in self.files:
            held = ", ".join(self.files) or "none"
            raise RunFolderError(f"{self.folder} has no file {name!r}", help=f"it has {held}")
        path = self.folder / name
        if not path.exists():
            raise _incomplete(path)
        if name not in self._checked:
            if files.sha256(path) != self.files[name]["sha256"]:
                raise RunFolderError(
                    f"{path} was changed after it was written: its hash is not that of {RUN}",
                    help=_RESTORE,
                )
            self._checked.add(name)
        return read_tensors(path, names)


def check_place(folder: Path, *, force: bool = False) -> None:
    """Check, before any work is done, that a run folder can be written.

    Args:
        folder: Where it is to be.
        force: Whether a run folder there may be replaced; nothing else ever is.

    Raises:
        OutputError: If it cannot.
    """
    files.check_place(folder, force=force)
    if force and folder.exists() and not _is_run(folder):
        raise OutputError(
            f"{folder} is there already and is not a run folder, so it is not replaced",
            help=f"choose another -o; {WHAT_IT_IS}",
        )


def write_run(
    folder: Path,
    record: Mapping[str, object],
    tensors: Mapping[str, StateDict],
    *,
    force: bool = False,
) -> None:
    """Write a run folder, whole or not at all.

    Args:
        folder: Where it is to be.
        record: Everything that is no tensor; JSON must be able to hold it.
        tensors: File name -> tensors: `MODEL`, `MEMBERS`, `PREDICTIONS`, those that there are.
        force: Whether a run folder there is replaced, with all that is in it.

    Raises:
        RunFolderError: If the record is not JSON, e.g. holds NaN, or a file name is unknown.
        OutputError: As `check_place` does, or if the disk is full.
    """
    check_place(folder, force=force)
    unknown = [name for name in tensors if name not in TENSOR_FILES]
    if unknown:
        raise RunFolderError(f"a run folder has no files {unknown}, only {TENSOR_FILES}")
    reserved = sorted(_OWN_KEYS & set(record))
    if reserved:
        raise RunFolderError(f"the record has keys that are the folder's own: {reserved}")
    _encoded(record)  # before anything is written
    with files.new_folder(folder, force=force) as partial:
        table = {}
        for name, state in tensors.items():
            path = partial / name
            write_tensors(path, state)
            table[name] = {"sha256": files.sha256(path), "bytes": path.stat().st_size}
        whole = {"alnico_run": VERSION, "files": table, **record}
        (partial / RUN).write_bytes(_encoded({**whole, SEAL: _seal(json.loads(_encoded(whole)))}))


def read_run(folder: Path) -> Run:
    """Read the record of a run folder and check that it is whole and the model is there.

    Raises:
        RunFolderError: If it is not a run folder, is of a newer alnico, or was changed.
    """
    if not folder.is_dir():
        is_what = "is not a folder" if folder.exists() else "is not there"
        raise RunFolderError(f"{folder} {is_what}", help=WHAT_IT_IS)
    found = _read_record(folder / RUN)
    seal = found.pop(SEAL, None)
    is_whole = seal == _seal(found)
    version, table = found.pop("alnico_run", None), found.pop("files", None)
    if type(version) is not int or version < 1:
        raise RunFolderError(f"{folder / RUN} is not the record of a run", help=WHAT_IT_IS)
    if version > VERSION:
        raise RunFolderError(
            f"{folder} was written by a newer alnico: its format is {version}, this one reads "
            f"{VERSION}",
            help="pip install --upgrade alnico",
        )
    checked = _checked_files(folder, table)
    if not is_whole:
        raise RunFolderError(
            f"{folder / RUN} was changed after it was written: its hash is not the one it holds",
            help=_RESTORE,
        )
    return Run(folder, found, checked)


def _seal(record: Mapping[str, object]) -> str:
    """The SHA-256 of a record as JSON without blanks, its keys in order."""
    text = json.dumps(record, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _incomplete(path: Path) -> RunFolderError:
    return RunFolderError(f"{path.parent} is incomplete: {path.name} is missing", help=_RESTORE)


def _encoded(record: Mapping[str, object]) -> bytes:
    try:
        text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise RunFolderError(f"the record of a run cannot be written as JSON: {error}") from error


def _read_record(path: Path) -> dict[str, object]:
    if not path.exists():
        raise RunFolderError(f"{path.parent} is not a run folder: no {RUN}", help=WHAT_IT_IS)
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_RECORD:
        raise RunFolderError(f"{path} is not a plain file of at most {MAX_RECORD} bytes")
    try:
        record = strict_json.parse(path.read_bytes())
    except ValueError as error:
        raise RunFolderError(
            f"{path} is not sound JSON: {error}", help="it was changed or cut; fit again"
        ) from error
    if not isinstance(record, dict):
        raise RunFolderError(f"{path} is not the record of a run", help=WHAT_IT_IS)
    return record


def _checked_files(folder: Path, table: object) -> dict[str, dict[str, object]]:
    """The record's table of files: each may be named and is plain, and the model is there."""
    if not isinstance(table, dict):
        raise RunFolderError(f"{folder / RUN} does not say which files belong to the run")
    for name, said in table.items():
        if name not in TENSOR_FILES:  # so no name leads out of the folder
            raise RunFolderError(f"{folder / RUN} names {name!r}, which no run folder has")
        if not isinstance(said, dict) or not isinstance(said.get("sha256"), str):
            raise RunFolderError(f"{folder / RUN} does not say the hash of {name}")
        path = folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise RunFolderError(f"{path} is not a plain file", help=_RESTORE)
        if name == MODEL and not path.exists():
            raise _incomplete(path)
    return table


def _is_run(folder: Path) -> bool:
    try:
        return folder.is_dir() and "alnico_run" in _read_record(folder / RUN)
    except RunFolderError:
        return False

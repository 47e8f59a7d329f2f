"""The hidden folder beside an output in which it grows: one process holds it at a time.

.NAME.partial/lock         held by the process that writes; its death gives it back
.NAME.partial/journal      what is finished, and what it all belongs to
.NAME.partial/model/       what will be moved into place
.NAME.partial/old          what was in that place, while the two are exchanged
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from alnico.checkpoint.files import writing
from alnico.checkpoint.journal import Journal, read_journal
from alnico.checkpoint.shards import ModelFile
from alnico.checkpoint.sink import Sink, create
from alnico.errors import OutputError
from alnico.progress import note

_LOCK = "lock"


class Partial:
    """The folder of one output.

    Args:
        place: Where the output is to be.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = place.with_name(f".{place.name}.partial")
        self.model = self.folder / "model"
        self.old = self.folder / "old"
        self._journal = self.folder / "journal"

    def begin(self, files: Sequence[ModelFile], key: str) -> Sink:
        """Make all files at their full size; what a dead writer left is removed.

        Raises:
            OutputError: If they cannot be made, e.g. the disk is full.
        """
        if self._journal.exists():
            note("write", f"removed what an interrupted merge had left in {self.folder}")
        self.clear()
        with writing(self.place):
            self.model.mkdir()
            for file in files:
                create(self.model / file.name, file)
            journal = Journal(self._journal, _full_key(files, key), {})  # last: it vouches for them
        return Sink(self.place, self.model, files, journal, {})

    def go_on(self, files: Sequence[ModelFile], key: str) -> Sink | None:
        """Take up what an interrupted writer left; None if there is nothing.

        Raises:
            OutputError: If it was begun with another key or other tensors, or was changed.
        """
        with writing(self.place):
            found = self._read()
            if found is None or not any(self.model.glob("*.safetensors")):  # or it was moved
                return None
            began_with, done = found
            if began_with != _full_key(files, key):
                raise OutputError(
                    f"{self.folder} holds another merge: its recipe, its models or its options are "
                    "not these",
                    help="give what it was begun with, or start anew without --resume",
                )
            for file in files:
                path = self.model / file.name
                if path.is_symlink() or not path.is_file() or path.stat().st_size != file.n_bytes:
                    raise _damaged(path)
            _remove_others(self.folder, {_LOCK, self._journal.name, self.model.name})
            _remove_others(self.model, {file.name for file in files})
            journal = Journal(self._journal, began_with, done)
        return Sink(self.place, self.model, files, journal, done)

    def clear(self) -> None:
        """Remove all that was written so far; what cannot be removed stays, and does no harm."""
        with suppress(OSError):
            _remove_others(self.folder, {_LOCK})

    def _read(self) -> tuple[str, Mapping[str, str]] | None:
        try:
            return read_journal(self._journal)
        except (ValueError, TypeError):
            raise _damaged(self._journal) from None


@contextmanager
def holding(place: Path) -> Iterator[Partial]:
    """Keep other writers of the same output out; at the end of the block, an empty folder goes.

    Raises:
        OutputError: If another process writes there, or the folder cannot be made or is not ours.
    """
    partial = Partial(place)
    lock = FileLock(partial.folder / _LOCK)
    with writing(place):
        _check_ours(partial.folder)
        partial.folder.mkdir(exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputError(
                f"{place} is being written by another process, which holds {partial.folder}",
                help="wait until it ends, or choose another -o",
            ) from None
    try:
        yield partial
    finally:
        with suppress(OSError):  # then it stays, which does no harm
            if [path.name for path in partial.folder.iterdir()] == [_LOCK]:
                (partial.folder / _LOCK).unlink()  # while it is held: nobody else can take it
                partial.folder.rmdir()
        lock.release()


def _check_ours(folder: Path) -> None:
    if not os.path.lexists(folder):
        return
    is_folder = folder.is_dir() and not folder.is_symlink()
    if not is_folder or (any(folder.iterdir()) and not (folder / _LOCK).is_file()):
        raise OutputError(
            f"{folder} is there already and is not an unfinished merge",
            help="move it away, or choose another -o",
        )


def _remove_others(folder: Path, kept: set[str]) -> None:
    for path in folder.iterdir():
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _full_key(files: Sequence[ModelFile], key: str) -> str:
    """The caller's key, and every byte that is known before the first block."""
    digest = hashlib.sha256(key.encode("utf-8"))
    for file in files:
        digest.update(f"\n{file.name}\n".encode())
        digest.update(file.header)
    return digest.hexdigest()


def _damaged(path: Path) -> OutputError:
    return OutputError(
        f"{path} was changed since the merge was interrupted", help="start anew without --resume"
    )

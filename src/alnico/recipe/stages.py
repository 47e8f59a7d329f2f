"""Where the results of named recipes lie until the one that takes them is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from alnico.checkpoint.files import writing
from alnico.errors import OutputError, RecipeError
from alnico.recipe.faults import shown

_LOCK = ".lock"


class Stages:
    """Results of recipes, by name, and what each was made of.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, name: str) -> Path:
        """Where a result is to be.

        Raises:
            RecipeError: If a name cannot be that of a folder.
        """
        is_one = Path(name).name == name != "" and name.isprintable()
        if not is_one or name.startswith("."):
            raise RecipeError(
                f"the result of a recipe cannot be called {shown(name)}",
                help="choose a name that can be that of a folder",
            )
        return self.folder / name

    def holds(self, name: str, key: str) -> bool:
        """Whether a result is there that was made of what `key` is the digest of."""
        path = self._key(name)
        return self.place(name).is_dir() and path.is_file() and path.read_text("utf-8") == key

    def add(self, name: str, key: str) -> None:
        """Take note that a result is there."""
        with writing(self.folder):
            self._key(name).write_text(key, "utf-8")

    def _key(self, name: str) -> Path:
        return self.folder / f".{name}.key"


@contextmanager
def staging(output: Path, kept: Path | None, *, resume: bool) -> Iterator[Stages]:
    """A folder for results, for a block of code.

    It is removed at the end; after Ctrl-C or a kill it stays, to be gone on with. One that the
    user names stays in any case.

    Args:
        output: The last result; beside it is the folder.
        kept: The folder that the user names.
        resume: Whether what is there may be taken; else it is removed first.

    Raises:
        OutputError: If the folder cannot be made, is not ours, or another process has it.
    """
    folder = output.with_name(f".{output.name}.stages") if kept is None else kept
    lock = FileLock(folder / _LOCK)
    with writing(folder):
        if kept is None:
            _check_ours(folder)
        folder.mkdir(exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputError(
                f"{folder} is in use by another process",
                help="wait until it ends, or choose another -o",
            ) from None
    try:
        if kept is None and not resume:
            _empty(folder)
        yield Stages(folder)
    except Exception:
        _leave(folder, removed=kept is None)
        raise
    else:
        _leave(folder, removed=kept is None)
    finally:
        lock.release()


def _check_ours(folder: Path) -> None:
    if os.path.lexists(folder) and (folder.is_symlink() or not (folder / _LOCK).is_file()):
        raise OutputError(
            f"{folder} is there already and is not of an unfinished merge",
            help="move it away, or choose another -o",
        )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


def _leave(folder: Path, *, removed: bool) -> None:
    """Remove what is ours: the folder, or in the user's the notes; what cannot be removed stays."""
    with suppress(OSError):
        if removed:
            _empty(folder)
        for path in folder.glob(".*.key"):
            path.unlink()
        (folder / _LOCK).unlink()  # while it is held: nobody else can take it
        if removed:
            folder.rmdir()

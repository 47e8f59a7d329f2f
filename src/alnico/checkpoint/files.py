"""Outputs that appear whole or not at all: written beside their place, synced, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alnico.errors import AlnicoError, OutputError

NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}

LONGEST_NAME = 230
"""The most bytes of an output's name: those of 255 that names made from it leave."""


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_place(path: Path, *, force: bool = False) -> None:
    """Check that an output can be written, so that hours of work do not end in an error.

    Args:
        path: Where a file or a folder is to be.
        force: Whether what is there may be replaced.

    Raises:
        OutputError: If it is there already, its parent is no folder, or cannot be written to.
    """
    if path.name in ("", ".."):
        raise OutputError(f"{path} cannot be an output", help="give it a name of its own")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise OutputError(
            f"{path.name[:40]!r}... cannot be an output: a name has at most {LONGEST_NAME} bytes",
            help="give it a shorter name",
        )
    if os.path.exists(path.parent) and not path.parent.is_dir():  # noqa: PTH110
        raise OutputError(
            f"{path} cannot be written: {path.parent} is not a folder", help="choose another -o"
        )
    if not os.path.isdir(path.parent):  # noqa: PTH112
        raise OutputError(
            f"{path} cannot be written: there is no folder {path.parent}",
            help=f"make it first: mkdir -p {path.parent}",
        )
    if os.path.lexists(path) and not force:
        raise _already_there(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise _not_writable(path)


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary place for a file; at the end of the block it is at `path`, and on disk.

    Args:
        path: Where the file is to be.
        force: Whether a file there may be replaced; a folder never is.

    Raises:
        OutputError: As `check_place` does, or if the disk is full. What was there is still there.
    """
    check_place(path, force=force)
    if path.is_dir():
        raise OutputError(f"{path} is a folder, not a file", help="choose another output")
    partial = _beside(path, "partial")
    try:
        with _explained(path):
            yield partial
            sync(partial)
            move_file(partial, path, force=force)
            sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary folder; at the end of the block it is at `path`, and on disk.

    A folder that is replaced is moved aside first and comes back if anything fails; a process
    killed in that instant leaves it whole as `.NAME.old-XXXX`. Whether it may be replaced at all
    is the caller's to know.

    Args:
        path: Where the folder is to be.
        force: Whether a folder there may be replaced; a file never is.

    Raises:
        OutputError: As `check_place` does, or if the disk is full. What was there is still there.
    """
    check_place(path, force=force)
    if os.path.lexists(path) and not path.is_dir():
        raise OutputError(f"{path} is a file, not a folder", help="choose another output")
    partial = _beside(path, "partial")
    try:
        with _explained(path):
            partial.mkdir()
            yield partial
            sync_tree(partial)
            move_folder(partial, path, force=force, aside=_beside(path, "old"))
            sync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def move_file(partial: Path, path: Path, *, force: bool) -> None:
    """Put a finished file in its place, in one step.

    Args:
        partial: The file, on the same file system.
        path: Where it is to be.
        force: Whether a file there is replaced.

    Raises:
        OutputError: If there is something, and not `force`; it stays, whoever wrote it meanwhile.
    """
    if force:
        partial.replace(path)
        return
    try:
        path.hardlink_to(partial)  # unlike a rename, never replaces what another process wrote
    except FileExistsError:
        raise _already_there(path) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise _already_there(path) from None
        partial.rename(path)
    else:
        partial.unlink()


def move_folder(partial: Path, path: Path, *, force: bool, aside: Path) -> None:
    """Put a finished folder in its place; what it replaces is removed after that, not before.

    Args:
        partial: The folder, on the same file system.
        path: Where it is to be.
        force: Whether a folder there is replaced.
        aside: Where that one lies in between, and stays if the process is killed there.

    Raises:
        OutputError: If there is something, and not `force`; it stays, whoever wrote it meanwhile.
    """
    if not os.path.lexists(path):
        partial.rename(path)
        return
    if not force:  # it appeared while we were writing
        raise _already_there(path)
    path.rename(aside)
    try:
        partial.rename(path)
    except BaseException:
        aside.rename(path)
        raise
    if aside.is_symlink():
        aside.unlink()
    else:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in our words why the system refused to write `path`, whatever its reason.

    For blocks that hold nothing but our own writing.

    Raises:
        OutputError: For every error of the system.
    """
    try:
        with _explained(path):
            yield
    except AlnicoError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}", help="choose another -o"
        ) from error


def sync(file: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name == "nt":  # folders cannot be opened there
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_tree(folder: Path) -> None:
    """Wait until everything in a folder is on the disk."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(place, name))
        sync_folder(Path(place))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say in our words why writing `path` failed; other errors pass as they are."""
    try:
        yield
    except AlnicoError:
        raise
    except OSError as error:
        if error.errno in NO_SPACE:
            raise OutputError(
                f"{path} cannot be written: the disk is full",
                help="nothing was left behind; free some space or choose another output",
            ) from error
        if error.errno in NOT_WRITABLE:
            raise _not_writable(path) from error
        raise


def _already_there(path: Path) -> OutputError:
    return OutputError(f"{path} is there already", help="choose another -o, or --force")


def _not_writable(path: Path) -> OutputError:
    return OutputError(
        f"{path} cannot be written: no permission to write in {path.parent}",
        help="choose another -o",
    )


def _beside(path: Path, kind: str) -> Path:
    return path.parent / f".{path.name}.{kind}-{secrets.token_hex(4)}"

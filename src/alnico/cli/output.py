"""A table as a command's output: refused before the work, or written whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.errors import OutputError

if TYPE_CHECKING:
    import polars as pl

_SUFFIXES = (".parquet", ".csv")


def check_output(path: Path, *, inputs: Sequence[Path], force: bool) -> None:
    """Refuse an output that could not be written, or should not.

    Args:
        path: The table to be written.
        inputs: What the command reads, which it must never overwrite.
        force: Whether a file that is there may be replaced.

    Raises:
        OutputError: If its format is unknown, or its place is taken or not to be had.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise OutputError(
            f"{path}: a table ends in {' or '.join(_SUFFIXES)}",
            help=f"-o {path.with_suffix('.parquet')}",
        )
    if path.resolve() in [source.resolve() for source in inputs]:
        raise OutputError(f"{path} is the input itself", help="give the output another name")
    if path.is_dir():
        raise OutputError(f"{path} is a folder", help="give the output another name")
    if path.exists() and not force:
        raise OutputError(f"{path} is there already", help="--force replaces it")
    if path.parent.exists() and not path.parent.is_dir():
        raise OutputError(f"{path}: {path.parent} is not a folder", help="choose another -o")
    if not path.parent.is_dir():
        raise OutputError(
            f"{path}: there is no folder {path.parent}", help=f"mkdir -p {path.parent}"
        )
    if not os.access(path.parent, os.W_OK):
        raise OutputError(
            f"{path}: the folder {path.parent} may not be written to",
            help="choose another folder with -o",
        )


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table beside its place, then put it there in one step.

    Raises:
        OutputError: If it cannot be written; nothing is left behind then.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            if path.suffix.lower() == ".csv":
                frame.write_csv(file)
            else:
                frame.write_parquet(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}",
            help="free some space, or choose another folder with -o",
        ) from error
    finally:
        part.unlink(missing_ok=True)

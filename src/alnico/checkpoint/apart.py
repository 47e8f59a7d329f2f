"""Outputs and inputs that would harm each other, however they are named."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from alnico.errors import OutputError


def check_apart(place: Path, inputs: Sequence[Path]) -> None:
    """Check that writing a model can harm none of those that it is made of.

    Args:
        place: Where it is to be.
        inputs: Files and folders that are read.

    Raises:
        OutputError: If the output is an input, lies in one, or one lies in it.
    """
    for source in inputs:
        if not _exists(source):
            continue
        is_in = _identity(source) in _chain(place)
        holds = _exists(place) and _identity(place) in _chain(source)
        if is_in and holds:
            raise OutputError(
                f"{place} is an input itself, and inputs are never changed",
                help="give the output another name",
            )
        if is_in or holds:
            inside = f"lies in the input {source}" if is_in else f"has the input {source} in it"
            raise OutputError(
                f"{place} {inside}, and inputs are never changed", help="choose another -o"
            )


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _chain(path: Path) -> set[tuple[int, int]]:
    """What a path leads through: itself and all folders above it, with links and without."""
    ways = [Path(os.path.normpath(path.absolute())), Path(os.path.realpath(path))]
    return {_identity(step) for way in ways for step in (way, *way.parents) if _exists(step)}


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  # that of Path fails on what cannot be a path

"""What a user calls a model by, and where that is: a file, an index, a folder, or a hub's name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from alnico.checkpoint.folder import find_weights, is_index
from alnico.errors import DataError
from alnico.registry import closest

_MOST_NAMES = 1_000


@dataclass(frozen=True)
class Place:
    """Where a model is.

    Args:
        weights: Its file of tensors, or its index.
        folder: Where its config and side files lie; None for one file given by itself.
        revision: The commit, for a model of the hub.
    """

    weights: Path
    folder: Path | None
    revision: str | None = None


def locate(path: str | Path) -> Place:
    """Find a model by its path or, where nothing is there, by its name on the hub.

    Raises:
        DataError: If there is nothing of that name, or it is not clear which model is meant.
        UnsafeFileError: If it lies in a file that is not read.
    """
    here = Path(path)
    if os.path.exists(here):  # noqa: PTH110  # that of Path fails on what cannot be a path
        if here.is_dir():
            return Place(find_weights(here), here)
        return Place(here, here.parent if is_index(here.name) else None)
    from alnico.checkpoint.hub import fetch, hub_name  # a model that is here needs none of this

    name = hub_name(str(path))
    if name is None or (name.revision is None and here.parent.is_dir()):
        raise _nothing_there(here)
    snapshot = fetch(name)
    return Place(find_weights(snapshot.folder), snapshot.folder, snapshot.revision)


def _nothing_there(path: Path) -> DataError:
    """What to say of a path that leads nowhere, with the nearest name beside it."""
    from alnico.checkpoint.hub import hub_name

    if not os.path.isdir(path.parent):  # noqa: PTH112
        return DataError(
            f"there is no file or folder {path}", help=f"there is no folder {path.parent}, either"
        )
    names = [entry.name for entry in islice(os.scandir(path.parent), _MOST_NAMES)]
    near = closest(path.name, names)
    ways = [f"did you mean {str(path.parent / near)!r}?"] if near else []
    if hub_name(str(path)) is not None:
        ways.append(f"for the model of the hub write {path}@main")
    return DataError(f"there is no file or folder {path}", help="; ".join(ways) or "check the path")

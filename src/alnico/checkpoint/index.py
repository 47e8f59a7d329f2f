"""The index of a sharded model: which file of its folder each tensor is in.

Nothing that it says is believed: its files must lie in its folder, and hold what it says they do.
Only its `total_size` is not looked at, as it is often wrong and the files themselves say it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from alnico.checkpoint.json_file import read_index_file
from alnico.checkpoint.links import stays_inside
from alnico.errors import DataError, UnsafeFileError

_SHOWN = 4


@dataclass(frozen=True)
class Index:
    """A checked index.

    Args:
        path: Where it is.
        places: Tensor -> the name of its file, in the order of the index.
    """

    path: Path
    places: Mapping[str, str]

    @property
    def shards(self) -> tuple[str, ...]:
        """The names of the files, each once, in the order in which tensors first name them."""
        return tuple(dict.fromkeys(self.places.values()))


def read_index(path: Path) -> Index:
    """Read an index; the files that it names need not be there.

    Raises:
        DataError: If it cannot be read, or says of no tensor where it is.
        UnsafeFileError: If a file that it names lies outside its folder by its name.
    """
    found = read_index_file(path).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise _unsound(path, ["its weight_map is not a mapping of names to files"])
    if not found:
        raise _unsound(path, ["its weight_map is empty"])
    for shard in dict.fromkeys(found.values()):
        if _leads_out(shard):
            raise _leaves(path, shard)
    return Index(path, found)


def shard_paths(index: Index) -> list[Path]:
    """The files of a sharded model, all there and all in the index's folder.

    Raises:
        DataError: If some are missing.
        UnsafeFileError: If one is a link that leaves the folder.
    """
    folder = index.path.parent
    paths = [folder / shard for shard in index.shards]
    missing = [shard for shard in index.shards if not os.path.lexists(folder / shard)]
    if missing:
        raise _unsound(index.path, [f"its file {shard!r} is missing" for shard in missing])
    for shard, path in zip(index.shards, paths, strict=True):
        if not stays_inside(path, folder):
            raise _leaves(index.path, shard)
    return paths


def check_shards(index: Index, tensors: Sequence[Collection[str]]) -> None:
    """See that each file holds the tensors that the index says, and no others.

    Args:
        index: The index.
        tensors: The names that each file holds, in the order of `index.shards`.

    Raises:
        DataError: If a tensor is missing, in two files, or in one that the index does not say.
    """
    faults = []
    held: dict[str, str] = {}
    for shard, names in zip(index.shards, tensors, strict=True):
        for name in names:
            if name in held:
                faults.append(f"tensor {name!r} is in {held[name]!r} and in {shard!r}")
            elif name not in index.places:
                faults.append(f"tensor {name!r} is in {shard!r}, and not in the index")
            elif index.places[name] != shard:
                faults.append(f"tensor {name!r} is in {shard!r}, not in {index.places[name]!r}")
            held[name] = shard
    faults += [
        f"tensor {name!r} is not in {shard!r}"
        for name, shard in index.places.items()
        if name not in held
    ]
    if faults:
        raise _unsound(index.path, faults)


def _leads_out(shard: str) -> bool:
    """Whether a name is no path below a folder; a link may still lead out of it."""
    if not shard or "\0" in shard:
        return True
    paths = (PurePosixPath(shard), PureWindowsPath(shard))
    return any(path.anchor or ".." in path.parts for path in paths)


def _leaves(path: Path, shard: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{path} is refused: it names {shard!r}, which leads out of the folder",
        help="a model's files lie in its folder; get it again from its source",
    )


def _unsound(path: Path, faults: Sequence[str]) -> DataError:
    more = f", and {len(faults) - _SHOWN} more faults" if len(faults) > _SHOWN else ""
    return DataError(
        f"{path} does not fit its folder: {'; '.join(faults[:_SHOWN])}{more}",
        help="files are missing or mixed up; get the model again from its source",
    )

"""Which files of a folder are safe to read: each is looked at, none is loaded, nothing is run."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, Literal, TypeAlias, cast

from alnico.checkpoint import strict_json
from alnico.checkpoint.archives import Careful
from alnico.checkpoint.contents import danger
from alnico.checkpoint.header import MAX_HEADER, read_header
from alnico.checkpoint.torch_file import is_torch
from alnico.checkpoint.weights_only import find_weights
from alnico.errors import DataError, UnsafeFileError
from alnico.progress import printable

Verdict: TypeAlias = Literal["safe", "unsafe", "unknown"]

MAX_JSON = 16 * 2**20

_CODE = (".py", ".pyc", ".so", ".dll", ".dylib", ".sh", ".bat", ".ps1", ".exe", ".ipynb")
_CONVERT = "get it as .safetensors; alnico runs no code from files, and no flag forces it"
_AGAIN = "it is damaged or was made to mislead; get it again from its source"


@dataclass(frozen=True)
class Finding:
    """What was found of one file.

    Args:
        file: Its path.
        verdict: Safe: alnico reads such files, and this one is sound. Unsafe: it is refused.
            Unknown: alnico does not read such files, so nothing is claimed of it.
        reason: What it is, or what is wrong with it.
        help: What to do; None if there is nothing to do.
    """

    file: Path
    verdict: Verdict
    reason: str
    help: str | None = None


def scan(path: str | os.PathLike[str]) -> list[Finding]:
    """Say of a file, or of every file in a folder, whether it is safe to read.

    Files are judged by their content as well as by their names. Pickles are refused in every form,
    with what they would call, but for weights that PyTorch saved: those alnico reads in a process
    with limits. Nothing is loaded, unpacked or run, links are not followed out of the folder, and
    what is no plain file is not opened. Little is read even of a file that lies about its size.

    Args:
        path: A file or a folder.

    Returns:
        One finding for each file, in the order of their paths.

    Raises:
        DataError: If there is no such file or folder.

    Example:
        >>> import alnico
        >>> [f.verdict for f in alnico.scan("model/")]        # doctest: +SKIP
        ['safe', 'safe']
    """
    root = Path(path)
    if not root.exists():
        raise DataError(f"there is no file or folder {root}", help="check the path")
    if not root.is_dir():
        return [_judge(root, root.parent)]
    return [_look(file, root) for file in sorted(_files(root))]


def _files(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder; links to folders are among it."""
    for place, folders, names in os.walk(folder):
        for name in names:
            yield Path(place, name)
        for name in folders:
            if Path(place, name).is_symlink():
                yield Path(place, name)


def _look(file: Path, root: Path) -> Finding:
    """Judge a file of a folder; a link only if what it points to is in the folder, too."""
    if not file.is_symlink():
        return _judge(file, root)
    target = file.resolve()
    if not target.is_relative_to(root.resolve()) and not _is_hub_blob(target, root):
        return _unsafe(file, f"a link that leaves the folder, to {target}", "copy what is meant")
    if not target.exists():
        return Finding(file, "unknown", "a link to nothing")
    if target.is_dir():
        return Finding(file, "unknown", "a link to another folder in here; not followed")
    return _judge(file, root)


def _is_hub_blob(target: Path, root: Path) -> bool:
    """Whether a link is of a hub's cache: from `snapshots/REVISION` to `blobs/HASH` beside it."""
    snapshot = root.resolve()
    blobs = snapshot.parent.parent / "blobs"
    return snapshot.parent.name == "snapshots" and target.parent == blobs


def _judge(file: Path, root: Path) -> Finding:
    """Judge one file by its content and its name."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return _unsafe(file, "not a plain file; it was not opened", "leave it out")
        for suffix, judge in _JUDGES.items():
            if file.name.lower().endswith(suffix):
                return judge(file, root)
        return _judge_other(file, root)
    except OSError as error:
        return Finding(file, "unknown", f"it cannot be read: {error.strerror or error}")


def _judge_tensors(file: Path, root: Path) -> Finding:
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
        if MAX_JSON < length <= MAX_HEADER:
            return _unsafe(file, f"its header of {length} bytes is too long to be checked", _AGAIN)
        header = read_header(file)
    except UnsafeFileError as error:
        found = _danger(file)
        if found is not None:
            return _unsafe(file, f"named .safetensors, and is no such file: {found}", _CONVERT)
        return _unsafe(file, error.message.split(": ", 1)[-1], _AGAIN)
    return Finding(file, "safe", f"safetensors, {len(header.tensors)} tensors")


def _judge_index(file: Path, root: Path) -> Finding:
    """An index says in which file of its folder each tensor is; nothing else may be named."""
    found = _judge_json(file, root)
    if found.verdict != "safe":
        return found
    index = strict_json.parse(file.read_bytes())
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        return _unsafe(file, "its weight_map is not a mapping of names to files", _AGAIN)
    shards = sorted(set(places.values()))
    leaving = [shard for shard in shards if not _stays(shard, file.parent)]
    missing = [shard for shard in shards if shard not in leaving and not _is_there(file, shard)]
    for faulty, what in ((leaving, "leads out of the folder"), (missing, "is missing")):
        if faulty:
            more = f", and {len(faulty) - 1} more" if len(faulty) > 1 else ""
            return _unsafe(file, f"it names {faulty[0]!r}, which {what}{more}", _AGAIN)
    return Finding(file, "safe", f"an index of {len(places)} tensors in {len(shards)} files")


def _stays(shard: str, folder: Path) -> bool:
    for path in (PurePosixPath(shard), PureWindowsPath(shard)):
        if not shard or "\0" in shard or path.anchor or ".." in path.parts:
            return False
    target, root = (folder / shard).resolve(), folder.resolve()
    return target.is_relative_to(root) or _is_hub_blob(target, root)


def _is_there(index: Path, shard: str) -> bool:
    return (index.parent / shard).is_file()


def _judge_json(file: Path, root: Path) -> Finding:
    found = _danger(file)
    if found is not None:
        return _unsafe(file, f"named .json, and is no such file: {found}", _CONVERT)
    size = file.stat().st_size
    if size > MAX_JSON:
        return _unsafe(file, f"JSON of {size} bytes, too large to be checked", _AGAIN)
    try:
        strict_json.parse(file.read_bytes())
    except ValueError as error:
        return _unsafe(file, f"it is not sound JSON: {error}", _AGAIN)
    return Finding(file, "safe", "sound JSON")


def _judge_torch(file: Path) -> Finding:
    """Weights of PyTorch's are read through a sandbox; what else a pickle holds is not."""
    try:
        weights = find_weights(file)
    except UnsafeFileError as error:
        return _unsafe(file, error.message.split(" is refused: ", 1)[-1], error.help or _AGAIN)
    except DataError as error:
        return Finding(file, "unknown", printable(error.message.removeprefix(f"{file} ")))
    return Finding(file, "safe", f"PyTorch, {len(weights.tensors)} tensors, weights only")


def _judge_other(file: Path, root: Path) -> Finding:
    if is_torch(file):
        return _judge_torch(file)
    found = _danger(file)
    if found is not None:
        return _unsafe(file, found, _CONVERT)
    if _looks_like_tensors(file):
        return _judge_tensors(file, root)
    if file.suffix.lower() in _CODE:
        return Finding(file, "unknown", "code; alnico never runs it")
    return Finding(file, "unknown", "not read by alnico")


def _looks_like_tensors(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(9)
    return len(head) == 9 and head[8:] == b"{" and head[4:8] == b"\0\0\0\0"


def _danger(file: Path) -> str | None:
    with file.open("rb", buffering=0) as raw, Careful(raw) as opened:
        return danger(cast("BinaryIO", opened), file.name)


def _unsafe(file: Path, reason: str, help: str) -> Finding:
    text = printable(reason)
    return Finding(file, "unsafe", text if len(text) <= 200 else text[:197] + "...", help)


_JUDGES: dict[str, Callable[[Path, Path], Finding]] = {
    ".safetensors": _judge_tensors,
    ".index.json": _judge_index,
    ".json": _judge_json,
}

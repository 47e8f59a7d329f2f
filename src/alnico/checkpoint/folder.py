"""Which file of a model's folder says where its weights are: one file of tensors, or an index."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from alnico.checkpoint.contents import PICKLE_NAMES
from alnico.checkpoint.index import read_index
from alnico.checkpoint.links import stays_inside
from alnico.errors import AlnicoError, DataError, UnsafeFileError

TORCH = (".bin", ".pt", ".pth")
"""How files of PyTorch's are called; they are read only where there is nothing safer."""

_FORMATS = ((".safetensors",), TORCH)
_INDEX = re.compile(r"(?P<stem>.+)(?P<suffix>\.safetensors|\.bin)\.index(?P<variant>\.\w+)?\.json")
_SHARD = re.compile(
    r"(?P<stem>.+?)-\d+-of-(?P<count>\d+)(?P<variant>\.\w+)?(?P<suffix>\.safetensors|\.bin)"
)
_KEYS = ("stem", "variant", "suffix")
_USUAL = ("model", "diffusion_pytorch_model", "pytorch_model")
_AGAIN = "consolidated"  # the same weights under other names, beside those of the usual ones
_BESIDE = (
    *("adapter", "optimizer", "random_states", "rng_state", "scaler.", "scheduler."),
    "training_args",
)
"""How files begin that lie beside a model and are none: adapters, and what a training kept."""

_MOST_FOLDERS = 1_000


def is_index(name: str) -> bool:
    """Whether a file's name is that of an index."""
    return _INDEX.fullmatch(name) is not None


def choose_weights(names: Collection[str], where: str) -> str | None:
    """The file with a model's weights, or the index of its files.

    Safetensors come first; then an index or a file with a usual name, such as `model.safetensors`;
    then whatever is the only one.

    Args:
        names: The files of its folder.
        where: What messages call the folder.

    Returns:
        One of the names; None if none of them is of weights.

    Raises:
        DataError: If it is not clear which is meant, or an index is missing.
    """
    for suffixes in _FORMATS:
        found = sorted(_candidates(names, suffixes))
        usual = [name for name in found if name in _usual_names(suffixes)]
        if len(found) == 1 or len(usual) == 1:
            return (usual or found)[0]
        if found:
            shown = ", ".join(found[:6]) + (", ..." if len(found) > 6 else "")
            raise DataError(
                f"{where} holds {len(found)} models: {shown}",
                help=f"say which by its file, e.g. {where}/{(usual or found)[0]}",
            )
        parts = sorted(name for name in names if name.endswith(suffixes) and _SHARD.match(name))
        if parts:
            raise DataError(
                f"{where} holds parts of a model, such as {parts[0]}, and no index of them",
                help="get the file that ends in .index.json, too",
            )
    return None


def find_weights(folder: Path) -> Path:
    """The file with the weights of a model in a folder, or the index of its files.

    Raises:
        DataError: If there is none, or it is not clear which is meant.
        UnsafeFileError: If it is a link that leaves the folder, or there are only pickles.
    """
    names = _listed(folder)
    chosen = choose_weights(names, str(folder))
    if chosen is None:
        raise _nothing(folder, names)
    check_link(folder / chosen)
    extra = _extra_shards(names, folder / chosen) if is_index(chosen) else []
    if extra:
        raise DataError(
            f"{folder} holds {extra[0]!r}, a part of a model that {chosen} does not name",
            help=f"remove it, or give the index itself: {folder / chosen}",
        )
    return folder / chosen


def check_link(path: Path) -> None:
    """See that a file of a model's folder is not a link that leaves it.

    Raises:
        UnsafeFileError: If it is.
    """
    if not stays_inside(path, path.parent):
        raise UnsafeFileError(
            f"{path} is refused: it is a link that leaves the folder",
            help="put the file itself into the folder",
        )


def _candidates(names: Collection[str], suffixes: tuple[str, ...]) -> list[str]:
    """Every index, and every file of tensors that is no part of a model with an index."""
    indices = [found for found in map(_INDEX.fullmatch, names) if found]
    stems = {found["stem"] for found in indices if found["suffix"] in suffixes}
    found = [match[0] for match in indices if match["suffix"] in suffixes]
    for name in names:
        part = _SHARD.fullmatch(name)
        is_whole = part is None or (int(part["count"]) == 1 and part["stem"] not in stems)
        if name.endswith(suffixes) and is_whole and not name.startswith(_BESIDE):
            found.append(name)
    return [name for name in found if not name.startswith(_AGAIN)] or found


def _usual_names(suffixes: tuple[str, ...]) -> set[str]:
    ends = [end for suffix in suffixes for end in (suffix, f"{suffix}.index.json")]
    return {stem + end for stem in _USUAL for end in ends}


def _extra_shards(names: Collection[str], index: Path) -> list[str]:
    """Files that are named as parts of the index's model, and that it does not name."""
    found = _INDEX.fullmatch(index.name)
    assert found is not None
    named = set(read_index(index).shards)
    parts = [part for part in map(_SHARD.fullmatch, names) if part and part[0] not in named]
    return sorted(part[0] for part in parts if part.group(*_KEYS) == found.group(*_KEYS))


def _listed(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from None


def _nothing(folder: Path, names: Collection[str]) -> AlnicoError:
    """What to say of a folder without weights."""
    from alnico.checkpoint.scan import scan  # a model that is there needs none of this

    for name in sorted(names):
        if name.lower().endswith(PICKLE_NAMES) and not name.startswith(_BESIDE):
            finding = scan(folder / name)[0]
            if finding.verdict == "unsafe":
                return UnsafeFileError(
                    f"{folder / name} is refused: {finding.reason}", help=finding.help
                )
    adapters = [name for name in names if name.startswith("adapter_model")]
    if adapters:
        return DataError(
            f"{folder} holds an adapter, {min(adapters)}, and no model",
            help="merge the adapter into its base first",
        )
    inner = [name for name in islice(sorted(names), _MOST_FOLDERS) if _has_weights(folder / name)]
    return DataError(
        f"{folder} holds no weights: no file in it ends in .safetensors, .bin, .pt or .pth",
        help=f"give one of its folders: {', '.join(inner[:8])}" if inner else "check the path",
    )


def _has_weights(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    return any(_candidates(_listed(folder), suffixes) for suffixes in _FORMATS)

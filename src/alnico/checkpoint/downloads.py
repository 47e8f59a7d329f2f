"""What fetching a model of the hub would bring, and whether it is here; nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alnico.checkpoint.folder import find_weights, is_index
from alnico.checkpoint.hub import HubName, first_files, refused
from alnico.checkpoint.index import read_index, shard_paths
from alnico.errors import AlnicoError
from alnico.registry import need


@dataclass(frozen=True)
class Download:
    """What is to be fetched of a model.

    Args:
        repo: What the hub calls the model.
        revision: The commit; None where the hub gave no answer.
        files: How many there are; None where the hub gave no answer.
        n_bytes: How large they are together; None where that is not known.
    """

    repo: str
    revision: str | None
    files: int | None
    n_bytes: int | None


def find_here(name: HubName) -> Path | None:
    """The folder of a model that was fetched before, with all its weights; None if it was not."""
    hub = need("huggingface_hub")
    try:
        found = hub.snapshot_download(name.repo, revision=name.revision, local_files_only=True)
        weights = find_weights(Path(found))
        if is_index(weights.name):
            shard_paths(read_index(weights))
    except (AlnicoError, OSError, ValueError):
        return None
    return Path(found)


def size_up(name: HubName) -> Download:
    """Ask the hub what it would send; where it cannot be reached, sizes stay unknown.

    Raises:
        DataError: If there is no such model or revision, or it has no weights.
        MissingExtraError: If the package of the hub is not installed.
    """
    hub = need("huggingface_hub")
    try:
        found = hub.HfApi().model_info(name.repo, revision=name.revision, files_metadata=True)
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError) as error:
        raise refused(name, error) from error
    except Exception:  # how a lost connection is called depends on the hub's version
        return Download(name.repo, None, None, None)
    sizes = {file.rfilename: file.size for file in found.siblings}
    wanted = first_files(list(sizes), name.repo)
    wanted += _shards(wanted[0], list(sizes))
    known = [sizes[file] for file in wanted]
    total = None if None in known else sum(known)
    return Download(name.repo, found.sha, len(wanted), total)


def _shards(weights: str, files: Sequence[str]) -> list[str]:
    """The parts that an index names, as they are usually called."""
    if not is_index(weights):
        return []
    stem, suffix = weights.removesuffix(".index.json").rsplit(".", 1)
    part = re.compile(rf"{re.escape(stem)}-\d+-of-\d+\.{re.escape(suffix)}")
    return [file for file in files if part.fullmatch(file)]

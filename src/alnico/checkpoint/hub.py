"""Models of the Hugging Face Hub: only the files that a merge needs, at one pinned commit."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType

from alnico.checkpoint.folder import choose_weights, is_index
from alnico.checkpoint.index import read_index
from alnico.checkpoint.side_files import _NAMES as SIDE_FILES
from alnico.errors import DataError
from alnico.registry import need

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(rf"(?P<repo>{_PART}/{_PART})(@(?P<revision>[A-Za-z0-9_][A-Za-z0-9_./-]*))?")
_FILES = (".safetensors", ".bin", ".pt", ".pth", ".json", ".yml", ".yaml")


@dataclass(frozen=True)
class HubName:
    """What the hub calls a model.

    Args:
        repo: `org/model`.
        revision: A branch, a tag or a commit; None if the name says none.
    """

    repo: str
    revision: str | None


@dataclass(frozen=True)
class Snapshot:
    """A model of the hub on this machine.

    Args:
        folder: Where its files are.
        revision: The commit that they are of.
    """

    folder: Path
    revision: str


def hub_name(text: str) -> HubName | None:
    """Read `org/model` or `org/model@revision`; None if a text is neither, but a path."""
    found = _NAME.fullmatch(text)
    if found is None or found["repo"].endswith(_FILES):
        return None
    return HubName(found["repo"], found["revision"])


def fetch(name: HubName) -> Snapshot:
    """Bring a model here: its weights, config, tokenizer and code; what is here already stays.

    Where the hub cannot be reached, what was fetched before is taken.

    Raises:
        DataError: If there is no such model or revision, it has no weights, or the hub cannot be
            reached and the model is not here.
        MissingExtraError: If the package of the hub is not installed.
    """
    hub = need("huggingface_hub")
    refusals = (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError)
    try:
        found = hub.HfApi().model_info(name.repo, revision=name.revision)
        files = [file.rfilename for file in found.siblings]
        folder = _download(hub, name.repo, found.sha, first_files(files, name.repo))
        chosen = choose_weights(_top(files), name.repo)
        assert chosen is not None  # else there were no first files
        if is_index(chosen):
            _download(hub, name.repo, found.sha, read_index(folder / chosen).shards)
    except DataError:
        raise
    except refusals as error:
        raise refused(name, error) from error
    except Exception as error:  # how a lost connection is called depends on the hub's version
        return _from_cache(hub, name, error)
    return Snapshot(folder, found.sha)


def first_files(files: Collection[str], where: str) -> list[str]:
    """What to fetch at first of a model's files: all that is needed but the parts of an index.

    Args:
        files: Their paths in the repository.
        where: What messages call the model.

    Raises:
        DataError: If none of them is of weights, or it is not clear which is meant.
    """
    chosen = choose_weights(_top(files), where)
    if chosen is None:
        raise DataError(
            f"{where} has no weights on the hub: no file ends in .safetensors, .bin, .pt or .pth",
            help="fetch the part that is meant, and give its folder",
        )
    beside = [file for file in files if _is_wanted(file)]
    return [chosen, *(file for file in beside if file != chosen)]


def _top(files: Iterable[str]) -> list[str]:
    return [file for file in files if "/" not in file]


def _is_wanted(file: str) -> bool:
    path = PurePosixPath(file)
    return any(
        len(path.parts) == pattern.count("/") + 1 and path.match(pattern)
        for pattern in ("config.json", *SIDE_FILES)
    )


def _download(hub: ModuleType, repo: str, commit: str, files: Iterable[str]) -> Path:
    patterns = [glob.escape(file) for file in files]
    return Path(hub.snapshot_download(repo, revision=commit, allow_patterns=patterns))


def _from_cache(hub: ModuleType, name: HubName, cause: Exception) -> Snapshot:
    try:
        found = hub.snapshot_download(name.repo, revision=name.revision, local_files_only=True)
    except (OSError, ValueError):
        raise DataError(
            f"{name.repo} is not on this machine, and the hub gave no answer: {_first_line(cause)}",
            help="check the connection and HF_HUB_OFFLINE, or give a folder",
        ) from cause
    return Snapshot(Path(found), Path(found).name)


def refused(name: HubName, error: Exception) -> DataError:
    """What to say where the hub has no such model, or does not give it."""
    at = f" at {name.revision}" if name.revision else ""
    return DataError(
        f"the hub gives no {name.repo}{at}: {_first_line(error)}",
        help="check the name; a gated or private model needs `hf auth login`",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__

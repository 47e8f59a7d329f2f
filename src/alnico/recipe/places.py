"""Where the models of a recipe are: paths from the recipe's folder on, or names of a hub."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path, PurePosixPath

from alnico.checkpoint.hub import hub_name
from alnico.errors import RecipeError
from alnico.recipe.faults import shown
from alnico.recipe.parts import Source
from alnico.registry import closest

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_LISTED = 1000


def find_source(text: str, folder: Path, *, revision: str | None = None) -> Source:
    """Find the model that a recipe names.

    Args:
        text: A whole path, a path from the recipe's folder on, or `ORGANISATION/MODEL[@REVISION]`.
        folder: Where the recipe is.
        revision: Of a model of the hub.

    Raises:
        RecipeError: If nothing is there, or a path from the folder on leaves it.
    """
    path = inside(text, folder)
    if path.exists():
        if revision is not None:
            raise RecipeError(
                f"{shown(text)} is on disk, and has no revision", help="leave the revision out"
            )
        return Source(text, path)
    name = hub_name(text)
    pinned = revision if name is None else name.revision or revision
    if name is None or Path(text).exists() or (pinned is None and path.parent.is_dir()):
        raise RecipeError(f"there is no model {shown(text)}", help=_near(text, path))
    if revision not in (None, pinned):
        raise RecipeError(f"{shown(text)} has two revisions", help=f"leave out {revision}")
    return Source(name.repo, None, revision=pinned)


def inside(text: str, folder: Path) -> Path:
    """The path that a recipe means: a whole one, or one in the recipe's folder.

    Raises:
        RecipeError: If it is no path, or starts in the folder and leaves it, by `..` or by a link.
    """
    if not text.strip() or not text.isprintable() or _is_too_long(text):
        raise RecipeError(
            f"{shown(text)} is no path that can be printed", help="give it another name"
        )
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    if path.is_absolute():
        return path
    place = folder / path
    if Path(os.path.normpath(path)).parts[:1] == ("..",):
        raise _leaves(text)
    try:
        inner = place.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # a link to itself
        raise RecipeError(f"{shown(text)} leads nowhere: {error}") from None
    if not inner:
        raise _leaves(text)
    return place


def name_of(text: str) -> str:
    """What a model is called that was given without a name: the last part of its path."""
    name = PurePosixPath(text.partition("@")[0]).name
    suffix = next((end for end in _WEIGHTS if name.endswith(end)), "")
    return name.removesuffix(suffix)


def _is_too_long(text: str) -> bool:
    return len(text) > 4000 or any(len(os.fsencode(part)) > 255 for part in Path(text).parts)


def _leaves(text: str) -> RecipeError:
    return RecipeError(
        f"{shown(text)} leaves the folder of the recipe",
        help="write the whole path, or put the recipe beside its models",
    )


def _near(text: str, path: Path) -> str:
    if not Path(text).is_absolute() and Path(text).exists():
        return f"paths start at the recipe; here would be {Path(text).resolve()}"
    if not path.parent.is_dir():
        return f"there is no folder {shown(str(path.parent))} either"
    names = [entry.name for entry in islice(path.parent.iterdir(), _LISTED)]
    near = closest(path.name, names)
    if near is not None:
        before = text.rstrip("/").rpartition("/")
        return f"did you mean {before[0] + before[1] + near!r}?"
    on_the_hub = "a model of the hub is ORGANISATION/MODEL@main"
    return on_the_hub if path == Path(text) else f"paths start at the recipe; {on_the_hub}"

"""Models as mergekit's recipes name them, and where each lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from alnico.recipe.faults import shown
from alnico.recipe.mergekit.reading import Reading, Where
from alnico.recipe.mergekit.schema import Reference

ADAPTER = "alnico merges no adapters yet"
MERGE_IT = "merge it into its model first, with peft's merge_and_unload, and name the result"


def read_reference(reading: Reading, where: Where) -> Reference | None:
    """A model: `path`, `path@revision`, or a mapping with `model`; None, and a fault, if none.

    Args:
        reading: What is read, and where faults are noted.
        where: The model.
    """
    value = reading.at(where)
    if isinstance(value, str):
        return _from_text(reading, where, value)
    if not isinstance(value, Mapping):
        reading.fault(where, f"a model must be a text or a mapping, got {shown(value)}")
        return None
    keys = reading.keys(where, ["model", "lora", "override_architecture"])
    if "lora" in keys:
        reading.fault((*where, "lora"), ADAPTER, help=MERGE_IT)
    if "override_architecture" in keys:
        text = "override_architecture has no effect: tensors are known by their names"
        reading.say((*where, "override_architecture"), text)
    inner = (*where, "model")
    if not isinstance(reading.at(inner), Mapping):
        text_of_it = reading.text(inner)
        return None if text_of_it is None else _from_text(reading, inner, text_of_it)
    reading.keys(inner, ["path", "revision"])
    path = reading.text((*inner, "path"))
    revision = reading.at((*inner, "revision"))
    if path is None:
        return None
    return Reference(path, None if revision is None else str(revision))


def locate(reference: Reference, folder: Path | None) -> str:
    """What to open: a path that exists here, else beside the recipe, else a name on the hub.

    Args:
        reference: A model of a recipe.
        folder: Where the recipe lies; None if it came from no file.
    """
    for text in (str(reference), reference.path):
        if Path(text).exists():
            return text
        if folder is not None and (folder / text).exists():
            return str(folder / text)
    return str(reference)


def _from_text(reading: Reading, where: Where, text: str) -> Reference | None:
    path, plus, adapter = text.partition("+")
    if plus:
        reading.fault(where, f"{text} names the adapter {adapter}, and {ADAPTER}", help=MERGE_IT)
        return None
    name, *revisions = path.split("@")
    if len(revisions) > 1 or not name or "" in revisions:
        reading.fault(where, f"{shown(text)} names no model", help="write path or name@revision")
        return None
    return Reference(name, *revisions)

"""Whose recipe a file is: alnico's own or mergekit's, by the keys at its top."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from alnico.errors import RecipeError
from alnico.recipe.faults import fault_at, shown
from alnico.recipe.yaml_text import read_documents
from alnico.registry import closest

Kind: TypeAlias = Literal["alnico", "mergekit"]

_MARKS: dict[str, Kind] = {"alnico": "alnico", "merge_method": "mergekit"}
_OTHERS = {"gate_mode": "mergekit-moe", "experts": "mergekit-moe", "genome": "mergekit-evolve"}


def kind_of(path: Path) -> Kind:
    """Tell the two kinds of recipe apart.

    Raises:
        DataError: If there is no such file.
        RecipeError: If it is no YAML, or a recipe of neither kind or of both.
        UnsafeFileError: As `read_yaml` does.
    """
    documents = read_documents(path)
    found: dict[str, int] = {}
    for document in documents:
        if not isinstance(document.value, dict):
            text = f"a recipe is a mapping, got {shown(document.plain())}"
            raise fault_at(path, document.line, text)
        found = {**document.key_lines, **found}
    kinds = [kind for key, kind in _MARKS.items() if key in found]
    if len(kinds) == 2:
        line = found["merge_method"]
        raise fault_at(path, line, "this has keys of alnico's recipes and of mergekit's")
    if not kinds:
        raise RecipeError(
            f"{path} is no recipe: it has neither the key 'alnico' nor 'merge_method'",
            help=_explain(list(found)),
        )
    return kinds[0]


def _explain(keys: list[str]) -> str:
    tool = next((_OTHERS[key] for key in keys if key in _OTHERS), None)
    if tool is not None:
        return f"it looks like a recipe of {tool}, which this version does not run"
    for key in keys:
        near = closest(key, _MARKS)
        if near is not None:
            return f"did you mean {near!r} by {key!r}?"
    return "a recipe of alnico's begins with alnico: 1"

"""The form of a recipe of alnico's own: what may stand where, and every fault at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from alnico.checkpoint.submodule import prefix_of
from alnico.errors import RecipeError
from alnico.recipe.faults import Faults, fault_at, shown
from alnico.recipe.located import Located
from alnico.recipe.parts import BASE, DTYPES, UNION, ZERO, MergeStep, Recipe, Source
from alnico.recipe.places import find_source, inside, name_of
from alnico.recipe.reading import (
    Names,
    note,
    read_choice,
    read_keys,
    read_seed,
    read_size,
    read_text,
)
from alnico.recipe.settings import ENDS
from alnico.recipe.steps import Scope, read_step
from alnico.recipe.tokenizer import read_tokenizer

FORMAT = 1
KEYS = ("alnico", "models", "base", "seed", "steps", "tokenizer", "output", "dtype", "shard_size")
MOST_MODELS = 1000
RESERVED = (BASE, UNION, ZERO, *ENDS)
"""What no model can be called."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_recipe(document: Located, path: Path) -> Recipe:
    """Turn a YAML document into a recipe.

    Args:
        document: What the file says.
        path: The file; paths in it start at its folder.

    Raises:
        RecipeError: With every fault: keys, types, ranges, names, and models that are not there.
    """
    faults = Faults(path)
    if isinstance(document.value, dict):
        _check_format(document, path)
    given = read_keys(document, KEYS, faults, what="a recipe")
    folder = path.parent
    models = _read_models(given.get("models"), document, folder, faults)
    base = given.get("base")
    root = None if base is None else _read_source(base, folder, faults, what="base")
    names = Names(None if models is None else tuple(models))
    scope = Scope(names, base is not None, document.key_lines.get("base", 1))
    merge = _read_steps(given.get("steps"), document, scope, faults)
    recipe = Recipe(
        path=path,
        models=models or {},
        merge=merge or MergeStep("", ()),
        base=root,
        seed=read_seed(given.get("seed"), faults),
        output=_read_output(given.get("output"), folder, faults),
        dtype=read_choice(given.get("dtype"), list(DTYPES), faults, what="dtype") or None,
        shard_size=read_size(given.get("shard_size"), faults, what="shard_size"),
        tokenizer=read_tokenizer(given.get("tokenizer"), scope, faults),
    )
    _check_twins(recipe.models, given.get("models"), faults)
    faults.check()
    return recipe


def _check_format(document: Located, path: Path) -> None:
    """Refuse a recipe of another format at once: its keys may mean anything."""
    assert isinstance(document.value, dict)
    version = document.value.get("alnico")
    if version is None:
        raise fault_at(path, document.line, "the recipe has no key 'alnico'", "write alnico: 1")
    if type(version.value) is not int or version.value != FORMAT:
        text = f"this alnico reads recipes of format {FORMAT}, got {shown(version.plain())}"
        raise fault_at(path, version.line, text, "write alnico: 1, or install a newer alnico")


def _read_models(
    at: Located | None, document: Located, folder: Path, faults: Faults
) -> dict[str, Source] | None:
    """Name -> source; None if there are none, so that nothing that speaks of them is judged."""
    if at is None:
        faults.add(document.line, "the recipe has no models", "write models: {cats: ./cats}")
        return None
    if not isinstance(at.value, dict | list) or not at.value:
        text = f"models must be a mapping of names to paths, got {shown(at.plain())}"
        faults.add(at.line, text, "write models: {cats: ./cats.safetensors}")
        return None
    if len(at.value) > MOST_MODELS:
        faults.add(at.line, f"there are {len(at.value)} models, more than {MOST_MODELS}")
        return None
    named = at.value if isinstance(at.value, dict) else _name_models(at.value, faults)
    found = {}
    for name, entry in named.items():
        if name in RESERVED or not name.strip():
            faults.add(entry.line, f"no model can be called {shown(name)}", "choose another name")
        found[name] = _read_source(entry, folder, faults, what=name)
    return found


def _name_models(entries: list[Located], faults: Faults) -> dict[str, Located]:
    named: dict[str, Located] = {}
    for entry in entries:
        place = entry.value.get("path", entry) if isinstance(entry.value, dict) else entry
        name = name_of(place.text or f"model {len(named) + 1}")
        if name in named:
            text = f"two models would be called {shown(name)}"
            faults.add(entry.line, text, "name them: models: {cats: PATH, dogs: PATH}")
        named[name] = entry
    return named


def _read_source(at: Located, folder: Path, faults: Faults, *, what: str) -> Source:
    """A path, or a mapping with it; after a fault, a source that is never opened."""
    given = {"path": at}
    if isinstance(at.value, dict):
        given = read_keys(at, ["path", "from", "sha256", "revision"], faults, what=what)
        if "path" not in given:
            faults.add(at.line, f"{what} has no path", "write path: PATH")
    text = read_text(given.get("path"), faults, what=f"the path of {what}")
    revision = read_text(given.get("revision"), faults, what="revision")
    digest = read_text(given.get("sha256"), faults, what="sha256")
    if digest is not None and not _DIGEST.fullmatch(digest):
        text_of = f"sha256 must be 64 digits from 0 to f, got {shown(digest)}"
        faults.add(given["sha256"].line, text_of)
    part = _read_part(given.get("from"), faults)
    if text is None:
        return Source("", None)
    try:
        source = find_source(text, folder, revision=revision)
    except RecipeError as error:
        note(error, given["path"].line, faults, what=what)
        return Source(text, None)
    if digest is not None and (source.path is None or source.path.is_dir()):
        hint = "leave it out" if source.path else "pin its revision"
        faults.add(given["sha256"].line, f"sha256 is of one file, and {shown(text)} is none", hint)
    return Source(source.text, source.path, source.revision, digest, part)


def _read_part(at: Located | None, faults: Faults) -> str | None:
    pattern = read_text(at, faults, what="from")
    if at is None or pattern is None:
        return None
    try:
        prefix_of(pattern)
    except RecipeError as error:
        note(error, at.line, faults, what="from")
    return pattern


def _read_steps(
    at: Located | None, document: Located, scope: Scope, faults: Faults
) -> MergeStep | None:
    if at is None:
        hint = "write steps: [{merge: {method: linear}}]"
        faults.add(document.line, "the recipe has no steps", hint)
        return None
    if not isinstance(at.value, list) or not at.value:
        faults.add(at.line, f"steps must be a list, got {shown(at.plain())}")
        return None
    found = [read_step(entry, scope, faults) for entry in at.value]
    merges = [step for step in found if step is not None]
    for step in merges[1:]:
        faults.add(step.line, "this version merges once a recipe", "write a recipe for each")
    return merges[0] if merges else None


def _read_output(at: Located | None, folder: Path, faults: Faults) -> Path | None:
    text = read_text(at, faults, what="output")
    if at is None or text is None:
        return None
    try:
        return inside(text, folder)
    except RecipeError as error:
        note(error, at.line, faults, what="output")
        return None


def _check_twins(models: Mapping[str, Source], at: Located | None, faults: Faults) -> None:
    """A model that is there under two names counts twice, which nobody means."""
    first: dict[tuple[str, str | None], str] = {}
    for name, source in models.items():
        if not source.text:
            continue
        place = str(source.path.resolve()) if source.path else source.reference, source.part
        if place in first:
            line = 1 if at is None else at.key_lines.get(name, at.line)
            text = f"{name} and {first[place]} are the same model"
            faults.add(line, text, "leave one out, and give the other a larger weight")
        first.setdefault(place, name)

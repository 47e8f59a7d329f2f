"""The recipe that does what a command's flags ask for, so that every merge has one to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.errors import AlnicoError, RecipeError, UnknownNameError
from alnico.merging.alike import merge_by
from alnico.methods._parameter import Value, plain
from alnico.recipe.opening import check_faults
from alnico.recipe.parts import BASE, UNION, MergeStep, Recipe, Setting, Source
from alnico.recipe.places import find_source, inside, name_of
from alnico.recipe.schema import RESERVED
from alnico.registry import suggest

if TYPE_CHECKING:
    from alnico.merging.vocabulary import Vocabulary


def from_flags(
    models: Sequence[str | Path],
    method: str,
    *,
    base: str | Path | None = None,
    parameters: Mapping[str, Value] | None = None,
    seed: int = 0,
    output: Path | None = None,
    dtype: str | None = None,
    shard_size: int | None = None,
    tokenizer: str | None = None,
) -> Recipe:
    """Make the recipe of a merge that was asked for without one.

    Args:
        models: Paths, from the current folder on, or names of a hub.
        method: The name of a merge method.
        base: The model that all came from.
        parameters: Of the method, as `alnico.merge` takes them.
        seed: Of methods that draw random numbers.
        output: Where the merged model is written.
        dtype: Of the merged model, e.g. `bfloat16`.
        shard_size: The most bytes of one file of weights.
        tokenizer: Of the merged model: `union`, `base`, or one of the models, named as here.

    Raises:
        UnknownNameError: If there is no such method, or the tokenizer is of none of the models.
        RecipeError: If the method cannot merge so many models, or not with these parameters; if
            it lacks a base, or has no use for one; or if there is no such model.
    """
    given = dict(parameters or {})
    merge_by(method, given, n_models=len(models), has_base=base is not None)
    sources = _sources([*models, *([] if base is None else [base])])
    named: dict[str, Source] = {}
    for model, source in zip(models, sources, strict=False):
        named[_new_name(str(model), named)] = source
    return Recipe(
        path=Path("recipe.yaml"),
        models=named,
        merge=MergeStep(
            method, tuple(named), {name: _setting(value) for name, value in given.items()}
        ),
        base=None if base is None else sources[-1],
        seed=seed,
        output=output,
        dtype=dtype,
        shard_size=shard_size,
        tokenizer=None if tokenizer is None else _tokenizer(tokenizer, models, named, base),
    )


def _sources(models: Sequence[str | Path]) -> list[Source]:
    """Where models are; those that are nowhere are told at once."""
    found: list[Source] = []
    faults: list[AlnicoError] = []
    for model in models:
        try:
            found.append(_source(str(model)))
        except RecipeError as error:
            faults.append(error)
    check_faults(faults, title="models are not there")
    return found


def _source(text: str) -> Source:
    """A model as flags name it; a path that a recipe could not follow is written whole."""
    folder = Path()
    try:
        inside(text, folder)
    except RecipeError:
        return find_source(str(Path(text).absolute()), folder)
    return find_source(text, folder)


def _tokenizer(
    text: str, models: Sequence[str | Path], named: Mapping[str, Source], base: str | Path | None
) -> Vocabulary:
    """The tokens of all, of the base, or of a model, by its path or its name in the recipe."""
    from alnico.merging.vocabulary import Vocabulary

    if text == UNION:
        return Vocabulary("union")
    if text == BASE and base is None:
        raise RecipeError("tokenizer: this merge has no base", help="name it: --base MODEL")
    if text == BASE or (base is not None and Path(text) == Path(base)):
        return Vocabulary("base")
    paths = map(Path, models)
    names = dict(zip(paths, named, strict=True)) | {Path(name): name for name in named}
    if Path(text) not in names:
        known = [UNION, *map(str, models), *([] if base is None else [BASE])]
        help = suggest(text, known, all_of_them="it can be")
        raise UnknownNameError(f"tokenizer: {text!r} is not one of the models", help=help)
    return Vocabulary("model", names[Path(text)])


def _new_name(text: str, taken: Mapping[str, Source]) -> str:
    name = name_of(text) or "model"
    n = 2
    new = name
    while new in taken or new in RESERVED:
        new, n = f"{name}_{n}", n + 1
    return new


def _setting(value: Value) -> Setting:
    """A value without its type of list or tensor."""
    found = plain(value)
    if isinstance(found, list):
        return tuple(float(one) for one in found)
    assert isinstance(found, bool | int | float | str)
    return found

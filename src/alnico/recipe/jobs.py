"""What is to be done for one recipe, once its models are opened: a plan, and what is beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.checkpoint.submodule import Submodule
from alnico.errors import RecipeError
from alnico.merging.steps import Plan
from alnico.progress import phase
from alnico.recipe.integers import take_integers
from alnico.recipe.native import plan_recipe, token_axes
from alnico.recipe.parts import BASE, DTYPES, Recipe, Source
from alnico.recipe.yaml_form import to_yaml

if TYPE_CHECKING:
    from alnico.checkpoint.opened import Checkpoint
    from alnico.recipe.mergekit import MergekitRecipe, Planned
    from alnico.recipe.mergekit.models import Opened
    from alnico.recipe.mergekit.schema import Reference
    from alnico.recipe.options import Options
    from alnico.recipe.vocabulary import Wanted


@dataclass(frozen=True)
class Job:
    """One merge.

    Args:
        plan: What is done.
        places: Of each of the plan's models, what it was opened by.
        text: The recipe, in YAML.
        donor: Which model gives the config, the tokenizer and other files.
        config_changes: What the config says otherwise, by the keys on the way to it.
        shard_size: The most bytes of one file of weights; None leaves it to the writer.
        planned: What a mergekit recipe says beside its plan.
        wanted: What the tokenizer is to be; None keeps the donor's.
    """

    plan: Plan
    places: tuple[str, ...]
    text: str
    donor: int = 0
    config_changes: Mapping[tuple[str, ...], object] = field(default_factory=dict)
    shard_size: int | None = None
    planned: Planned | None = None
    wanted: Wanted | None = None


def sources_of(recipe: Recipe) -> dict[str, Source]:
    """The models of a recipe of alnico's own by name: those merged, lenders of tokens, the base."""
    return recipe.sources | recipe.lenders | _base_of(recipe)


def _base_of(recipe: Recipe) -> dict[str, Source]:
    return {} if recipe.base is None else {BASE: recipe.base}


def own_job(recipe: Recipe, models: Mapping[str, Checkpoint], options: Options) -> Job:
    """Plan a recipe of alnico's own.

    Args:
        recipe: What is asked, options included.
        models: Place -> model.
        options: What is asked for beside it.

    Raises:
        AlnicoError: As `plan_recipe` does.
    """
    sources = recipe.sources | _base_of(recipe)
    places = tuple(source.label for source in sources.values())
    opened = [models[place] for place in places]
    n = len(recipe.sources)
    with phase("check", "same names, shapes, dtypes"), _naming(recipe.path):
        plan = plan_recipe(recipe, opened[:n], *opened[n:])
    if options.integers_from is not None:
        plan = take_integers(plan, options.integers_from, list(sources))
    plan = replace(plan, said=(*plan.said, *_said_of_parts(opened)))
    text = to_yaml(recipe, portable=True)
    wanted = _own_wanted(recipe, opened[0])
    return Job(plan, places, text, shard_size=recipe.shard_size, wanted=wanted)


def _own_wanted(recipe: Recipe, first: Checkpoint) -> Wanted | None:
    if recipe.tokenizer is None:
        return None
    from alnico.recipe.vocabulary import wanted_by

    return wanted_by(recipe, recipe.tokenizer, token_axes(first))


def _said_of_parts(models: Sequence[Checkpoint]) -> list[str]:
    return [
        f"{model.path} is {len(model.tensors)} of {len(model.whole.tensors)} tensors; "
        "the others are not seen"
        for model in models
        if isinstance(model, Submodule)
    ]


def read_mergekit(path: Path, options: Options) -> list[MergekitRecipe]:
    """The recipes of a file of mergekit's, the one whose result is asked for the last.

    Raises:
        RecipeError: As `read_stages` does; or if all of several have a name.
    """
    from alnico.recipe.mergekit import read_stages

    stages = read_stages(path, strict=options.strict)
    if len(stages) > 1 and stages[-1].name is not None:
        raise RecipeError(
            f"{path}: each of {len(stages)} recipes has a name, so none of them is the result",
            help="leave out the name of the one that -o is",
        )
    if options.stages is not None and len(stages) == 1:
        raise RecipeError(f"{path} has one recipe, and so no --stages", help="leave it out")
    if options.dtype is None:
        return stages
    return [*stages[:-1], _in_dtype(stages[-1], options.dtype)]


def places_of(recipes: Sequence[MergekitRecipe]) -> list[str]:
    """What is to be opened for recipes of mergekit's, the results of others left out."""
    from alnico.recipe.mergekit.vocabularies import asked_places, place_of

    names = [recipe.name for recipe in recipes if recipe.name is not None]
    found: dict[str, None] = {}
    for recipe in recipes:
        found |= dict.fromkeys(place_of(each, recipe, names) for each in _references(recipe))
        found |= dict.fromkeys(asked_places(recipe, names))
    return [place for place in found if place not in names]


def mergekit_job(
    recipe: MergekitRecipe,
    models: Mapping[str, Opened],
    options: Options,
    results: Mapping[str, Opened],
) -> Job:
    """Plan a recipe of mergekit's.

    Args:
        recipe: What is asked, options included.
        models: Place -> model.
        options: What is asked for beside it.
        results: Of earlier recipes of the file, by name.

    Raises:
        AlnicoError: As `plan_mergekit` does.
    """
    from alnico.recipe.mergekit import plan_mergekit

    with phase("check", "same names, shapes, dtypes"), _naming(recipe.path):
        planned = plan_mergekit(
            recipe,
            open_model=models.__getitem__,
            exact=options.exact,
            seed=options.seed or 0,
            results=results,
        )
    plan = planned.plan
    if options.integers_from is not None:
        names = [str(reference) for reference in _references(recipe)]
        plan = take_integers(plan, options.integers_from, names)
    return Job(
        plan,
        plan.models,
        recipe.path.read_text("utf-8"),
        planned.config_donor,
        planned.config_changes,
        options.shard_size,
        planned,
        _wanted(recipe, planned, results, exact=options.exact),
    )


def _wanted(
    recipe: MergekitRecipe, planned: Planned, results: Collection[str], *, exact: bool
) -> Wanted | None:
    if recipe.tokenizer is None:
        return None
    from alnico.recipe.mergekit.vocabularies import asked_places, place_of, vocabulary_of
    from alnico.recipe.vocabulary import Wanted

    asked = vocabulary_of(recipe, exact=exact, results=results)
    assert asked is not None  # there is a block
    labels, base = planned.plan.models, recipe.base
    return Wanted(
        asked,
        planned.vocabulary,
        None if base is None else labels.index(place_of(base, recipe, results)),
        tuple(place for place in asked_places(recipe, results) if place not in labels),
    )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of what turns out to be wrong with the models opened whose recipe it is, too."""
    try:
        yield
    except RecipeError as error:
        if str(path) in error.message or not path.exists():  # a recipe of flags has no file
            raise
        raise RecipeError(f"{path}: {error.message}", help=error.help) from error


def _references(recipe: MergekitRecipe) -> list[Reference]:
    """The models of a recipe, each once, in the order of its plan."""
    return list(dict.fromkeys([*recipe.models, *([recipe.base] if recipe.base else [])]))


def _in_dtype(recipe: MergekitRecipe, dtype: str) -> MergekitRecipe:
    said = (*recipe.said, f"the output is {dtype}, as --dtype asks")
    return replace(recipe, out_dtype=DTYPES[dtype], said=said)

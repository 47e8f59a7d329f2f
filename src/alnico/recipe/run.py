"""A recipe carried out: read, its models opened, planned, merged and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.checkpoint.opened import Checkpoint, open_checkpoint
from alnico.errors import RecipeError
from alnico.merging.files import common_metadata
from alnico.merging.saving import Order, check_place, key_of, write_plan
from alnico.progress import note, phase
from alnico.recipe.jobs import (
    Job,
    mergekit_job,
    own_job,
    places_of,
    read_mergekit,
    sources_of,
)
from alnico.recipe.kinds import kind_of
from alnico.recipe.native import read_recipe
from alnico.recipe.opening import check_pins, opening
from alnico.recipe.options import Options
from alnico.recipe.parts import Recipe
from alnico.recipe.stages import Stages, staging

if TYPE_CHECKING:
    from alnico.recipe.mergekit import MergekitRecipe

Record = dict[str, object]


def run_recipe(
    recipe: str | Path | Recipe,
    output: str | Path | None = None,
    *,
    options: Options | None = None,
) -> Record:
    """Carry out a recipe, alnico's own or mergekit's.

    Args:
        recipe: Its file; or one of alnico's own that was read, or made by `from_flags`.
        output: A `.safetensors` file or a folder, above what the recipe says.
        options: What is asked for beside the recipe.

    Returns:
        The record; it lies in `run.json` in the folder, or at `NAME.run.json` beside a file.

    Raises:
        RecipeError: With every fault of the recipe.
        OutputError: If the output is an input, is there already or cannot be written.
        AlnicoError: As opening models and `write_plan` do.
    """
    asked = options or Options()
    asked.check()
    if not isinstance(recipe, Recipe):
        recipe = Path(recipe)
        if kind_of(recipe) == "mergekit":
            return _run_mergekit(read_mergekit(recipe, asked), _place(output, None), asked)
        recipe = read_recipe(recipe)
    recipe = asked.above(recipe)
    return _run_own(recipe, _place(output, recipe), asked)


def _place(output: str | Path | None, recipe: Recipe | None) -> Path:
    if output is not None:
        return Path(output)
    if recipe is None or recipe.output is None:
        raise RecipeError("where is the merged model to be written?", help="-o OUT")
    return recipe.output


def _run_own(recipe: Recipe, place: Path, options: Options) -> Record:
    sources = sources_of(recipe)
    with opening(sources.values(), has_base=recipe.base is not None) as models:
        check_place(place, list(models.values()), force=options.force)
        check_pins(sources, models)
        return _write(own_job(recipe, models, options), models, place, options)


def _run_mergekit(recipes: Sequence[MergekitRecipe], place: Path, options: Options) -> Record:
    *earlier, last = recipes
    with opening(places_of(recipes)) as models:
        check_place(place, list(models.values()), force=options.force)
        if not earlier:
            return _write(mergekit_job(last, models, options, {}), models, place, options)
        with staging(place, options.stages, resume=options.resume) as stages:
            return _run_stages(earlier, last, models, stages, place, options)


def _run_stages(
    earlier: Sequence[MergekitRecipe],
    last: MergekitRecipe,
    models: Mapping[str, Checkpoint],
    stages: Stages,
    place: Path,
    options: Options,
) -> Record:
    """Carry out recipes one after the other; each result is opened for those that take it."""
    with ExitStack() as results_open:
        results: dict[str, Checkpoint] = {}
        for recipe in earlier:
            assert recipe.name is not None  # only the last has none
            job = mergekit_job(recipe, models, options, results)
            _write_stage(recipe.name, job, {**models, **results}, stages, options)
            result = results_open.enter_context(open_checkpoint(stages.place(recipe.name)))
            result.path = recipe.name
            results[recipe.name] = result
        job = mergekit_job(last, models, options, results)
        return _write(job, {**models, **results}, place, options)


def _write_stage(
    name: str, job: Job, models: Mapping[str, Checkpoint], stages: Stages, options: Options
) -> None:
    opened = [models[each] for each in job.places]
    key = f"{key_of(job.plan, opened, _order(job, opened, options))}\n{job.text}"
    if options.resume and stages.holds(name, key):
        note("merge", f"{name} was finished before")
        return
    force = options.force or options.stages is None  # what lies in a folder of ours is ours
    _write(job, models, stages.place(name), replace(options, force=force))
    stages.add(name, key)


def _write(job: Job, models: Mapping[str, Checkpoint], place: Path, options: Options) -> Record:
    opened = [models[each] for each in job.places]
    order = _order(job, opened, options)
    if job.wanted is None:
        return write_plan(job.plan, opened, place, order)
    from alnico.recipe.vocabulary import with_vocabulary

    with phase("tokens", "the vocabulary"):
        found = with_vocabulary(job.plan, opened, job.wanted, donor=job.donor, known=models)
    order = replace(
        order,
        config_changes={**job.config_changes, **found.config_changes},
        skip=found.skip,
        add_files=found.write_files,
        key=found.key,
    )
    return write_plan(found.plan, found.models, place, order)


def _order(job: Job, models: Sequence[Checkpoint], options: Options) -> Order:
    return Order(
        recipe=job.text,
        donor=job.donor,
        config_changes=job.config_changes,
        metadata=common_metadata(models),
        shard_bytes=job.shard_size,
        force=options.force,
        resume=options.resume,
        sha256=options.sha256,
        how=options.how,
    )

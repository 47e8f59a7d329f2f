"""What a recipe will do, before anything is fetched or written: `foresee` is to `run_recipe`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.checkpoint.downloads import Download, find_here, size_up
from alnico.checkpoint.hub import hub_name
from alnico.checkpoint.opened import Checkpoint
from alnico.merging.execute import How
from alnico.merging.saving import check_disk, check_place
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
from alnico.recipe.opening import opening
from alnico.recipe.options import Options
from alnico.recipe.outlook import Outlook, look
from alnico.recipe.parts import Recipe

if TYPE_CHECKING:
    from alnico.recipe.mergekit.models import Opened
    from alnico.recipe.mergekit.schema import MergekitRecipe


@dataclass(frozen=True)
class Foresight:
    """What a recipe will do.

    Args:
        merges: In order; a file of mergekit's can have several. None where models are not here.
        downloads: What is to be fetched first.
    """

    merges: tuple[Outlook, ...]
    downloads: tuple[Download, ...] = ()


def foresee(
    recipe: str | Path | Recipe, output: Path | None = None, *, options: Options | None = None
) -> Foresight:
    """Say what `run_recipe` would do; no tensor is read, nothing is fetched, nothing is written.

    Args:
        recipe: Its file; or one of alnico's own that was read, or made by `from_flags`.
        output: Where the result is to be; None does not look whether it can be there.
        options: What is asked for beside the recipe.

    Raises:
        AlnicoError: As `run_recipe` does before the first tensor is read.
    """
    asked = options or Options()
    asked.check()
    if not isinstance(recipe, Recipe):
        recipe = Path(recipe)
        if kind_of(recipe) == "mergekit":
            return _foresee_mergekit(read_mergekit(recipe, asked), output, asked)
        recipe = read_recipe(recipe)
    recipe = asked.above(recipe)
    sources = sources_of(recipe).values()
    here, downloads = _look_for([source.reference for source in sources])
    if downloads:
        return Foresight((), downloads)
    with opening(sources, has_base=recipe.base is not None, here=here) as models:
        job = own_job(recipe, models, asked)
        _check_output(output, job, models, asked)
        return Foresight((_look(job, models, asked.how),))


def _foresee_mergekit(
    recipes: Sequence[MergekitRecipe], output: Path | None, options: Options
) -> Foresight:
    from alnico.recipe.mergekit.stages import promise

    places = places_of(recipes)
    here, downloads = _look_for(places)
    if downloads:
        return Foresight((), downloads)
    with opening(places, here=here) as models:
        found = []
        results: dict[str, Opened] = {}
        for recipe in recipes:
            known: dict[str, Opened] = {**models, **results}
            job = mergekit_job(recipe, models, options, results)
            is_last = recipe is recipes[-1]
            found.append(_look(job, known, options.how, None if is_last else recipe.name))
            if is_last:
                _check_output(output, job, models, options)
            elif recipe.name is not None and job.planned is not None:
                config = known[job.places[job.donor]].config
                results[recipe.name] = promise(recipe.name, job.planned, config)
        return Foresight(tuple(found))


def _look(job: Job, models: Mapping[str, Opened], how: How, name: str | None = None) -> Outlook:
    """Look at a job with its tokenizer, which asks for models that are there, not promised."""
    opened = [models[place] for place in job.places]
    known = {place: model for place, model in models.items() if isinstance(model, Checkpoint)}
    if job.wanted is None or not {*job.places, *job.wanted.others} <= known.keys():
        return look(job, opened, how, name=name)
    from alnico.recipe.vocabulary import with_vocabulary

    given = [known[place] for place in job.places]
    found = with_vocabulary(job.plan, given, job.wanted, donor=job.donor, known=known)
    changes = {**job.config_changes, **found.config_changes}
    job = replace(job, plan=found.plan, config_changes=changes)
    return look(job, found.models, how, name=name)


def _look_for(places: Sequence[str]) -> tuple[dict[str, Path], tuple[Download, ...]]:
    """Of models of the hub: where those are that are here, and what the others would bring."""
    here: dict[str, Path] = {}
    downloads: list[Download] = []
    for place in dict.fromkeys(places):
        name = None if Path(place).exists() else hub_name(place)
        if name is None:
            continue
        folder = find_here(name)
        if folder is None:
            downloads.append(size_up(name))
        else:
            here[place] = folder
    return here, tuple(downloads)


def _check_output(
    output: Path | None, job: Job, models: Mapping[str, Checkpoint], options: Options
) -> None:
    if output is not None:
        check_place(output, list(models.values()), force=options.force)
        check_disk(output, job.plan)

"""Several recipes in one file, as `mergekit-multi` takes them: later ones use earlier results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alnico.checkpoint.model_config import with_changes
from alnico.errors import RecipeError
from alnico.merging.steps import Form, Forms
from alnico.recipe.mergekit.models import Opened
from alnico.recipe.mergekit.parse import parse
from alnico.recipe.mergekit.planning import Planned, plan_mergekit
from alnico.recipe.mergekit.schema import MergekitRecipe
from alnico.recipe.yaml_text import read_documents


@dataclass(frozen=True)
class Promised:
    """The result of a merge that was planned and not run.

    Args:
        folder: What it is called.
        config: As it will be.
        tensors: As they will be; their number of tokens is the donor's, whatever the tokenizer.
    """

    folder: Path | None
    config: Mapping[str, object] | None
    tensors: Forms


@dataclass(frozen=True)
class Stage:
    """One merge of several.

    Args:
        recipe: What is asked.
        planned: What is done; a model of the plan that is named as an earlier stage is its result.
    """

    recipe: MergekitRecipe
    planned: Planned


def read_stages(path: str | Path, *, strict: bool = False) -> list[MergekitRecipe]:
    """The recipes of a file, each behind those whose results it takes.

    Args:
        path: A file of one or more documents.
        strict: Whether keys without meaning are faults.

    Raises:
        RecipeError: With every fault of the first document that has one; or if two results have
            one name, or none; or if recipes take each other's results.
    """
    place = Path(path)
    recipes = [parse(document, place, strict=strict) for document in read_documents(place)]
    names = [recipe.name for recipe in recipes]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            what = "have no name" if name is None else f"are named {name}"
            help = "give each document its name, but for the last result"
            raise RecipeError(f"{place}: {names.count(name)} recipes {what}", help=help)
    return _ordered(recipes, place)


def plan_stages(
    path: str | Path,
    *,
    open_model: Callable[[str], Opened],
    exact: bool = False,
    seed: int = 0,
    strict: bool = False,
) -> list[Stage]:
    """Plan every recipe of a file as if the earlier ones were run.

    A stage whose tokenizer changes the number of tokens is to be run before the next is planned
    again, with `results`.

    Args:
        path: A file of one or more documents.
        open_model: As for `plan_mergekit`.
        exact: As for `plan_mergekit`.
        seed: As for `plan_mergekit`.
        strict: As for `plan_mergekit`.

    Raises:
        RecipeError: As `read_stages` and `plan_mergekit` do.
        IncompatibleModelsError: As `plan_mergekit` does.
    """
    opened: dict[str, Opened] = {}

    def open_once(place: str) -> Opened:
        if place not in opened:
            opened[place] = open_model(place)
        return opened[place]

    stages = []
    results: dict[str, Opened] = {}
    for recipe in read_stages(path, strict=strict):
        planned = plan_mergekit(
            recipe, open_model=open_once, exact=exact, seed=seed, results=results
        )
        stages.append(Stage(recipe, planned))
        if recipe.name is not None:
            donor = planned.plan.models[planned.config_donor]
            config = (results.get(donor) or open_once(donor)).config
            results[recipe.name] = promise(recipe.name, planned, config)
    return stages


def promise(name: str, planned: Planned, config: Mapping[str, object] | None) -> Promised:
    """What a plan will make.

    Args:
        name: What the result is called.
        planned: The plan.
        config: Of the donor.
    """
    tensors = {step.name: Form(step.form.dtype, step.form.shape) for step in planned.plan.steps}
    changed = None if config is None else with_changes(config, planned.config_changes)
    return Promised(Path(name), changed, tensors)


def _ordered(recipes: Sequence[MergekitRecipe], path: Path) -> list[MergekitRecipe]:
    """Each behind those that it needs, and else as they stand; the one without name last."""
    left = sorted(recipes, key=lambda recipe: recipe.name is None)
    names = {recipe.name for recipe in recipes}
    found: list[MergekitRecipe] = []
    while left:
        done = {recipe.name for recipe in found}
        ready = next((r for r in left if not (_needed(r) & names) - done), None)
        if ready is None:
            stuck = ", ".join(recipe.name for recipe in left if recipe.name is not None)
            raise RecipeError(f"{path}: these recipes take each other's results: {stuck}")
        left.remove(ready)
        found.append(ready)
    return found


def _needed(recipe: MergekitRecipe) -> set[str | None]:
    models = [*recipe.models, *([recipe.base] if recipe.base else [])]
    return {model.path for model in models if model.revision is None}

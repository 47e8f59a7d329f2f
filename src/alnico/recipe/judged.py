"""A finished merge scored, and the scores noted in its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from alnico.checkpoint.files import new_file, sha256
from alnico.errors import RecipeError
from alnico.merging.execute import How
from alnico.merging.judging import judge
from alnico.merging.own_score import Score, load_score
from alnico.merging.saving import RECORD
from alnico.merging.scores import Scores
from alnico.recipe.jobs import read_mergekit, sources_of
from alnico.recipe.kinds import kind_of
from alnico.recipe.native import read_recipe
from alnico.recipe.options import Options
from alnico.recipe.parts import Recipe
from alnico.recipe.places import name_of

Judge: TypeAlias = Callable[[Mapping[str, Any]], Scores]
"""The record of a finished merge -> its scores, which its `run.json` has from then on, too."""


def prepare_judge(words: str, asked: Path | Recipe, options: Options) -> Judge:
    """Load the function that scores a recipe's models, before any of them is read.

    Args:
        words: `FILE.py:FUNCTION`.
        asked: The recipe, or its file.
        options: What is asked for beside the recipe.

    Raises:
        RecipeError: As `load_score` and reading a recipe do; if a recipe takes results of others
            that are not kept, or parts of models.
        UnknownNameError: If the file has no such function.
    """
    score = load_score(words)
    names: dict[str, str] = {}
    results: dict[str, Path] = {}
    if isinstance(asked, Recipe) or kind_of(asked) == "alnico":
        recipe = asked if isinstance(asked, Recipe) else read_recipe(asked)
        _check_whole(recipe)
        names = {source.reference: name for name, source in recipe.sources.items()}
    else:
        results = _results(asked, options)
    return partial(_judge, words, score, names, results, options.how)


def _check_whole(recipe: Recipe) -> None:
    parts = [name for name, source in sources_of(recipe).items() if source.part is not None]
    if parts:
        raise RecipeError(
            f"models are scored from disk, and {', '.join(parts)} would be a part of one (from:)",
            help="leave out --eval",
        )


def _results(path: Path, options: Options) -> dict[str, Path]:
    """Where the results of earlier recipes of a file are, by name."""
    *earlier, _ = read_mergekit(path, options)
    if earlier and options.stages is None:
        raise RecipeError(
            f"{path} merges results of recipes of its own, and to be scored they must be kept",
            help="--stages FOLDER",
        )
    return {str(one.name): options.stages / str(one.name) for one in earlier if options.stages}


def _judge(
    words: str,
    score: Score,
    names: Mapping[str, str],
    results: Mapping[str, Path],
    how: How,
    record: Mapping[str, Any],
) -> Scores:
    base: str | None = record["base"]
    models = {str(one["path"]): _place(one, results) for one in record["models"]}
    parents = [path for path in models if path != base]
    titles = [names.get(path) or name_of(path) for path in parents]
    if len(set(titles)) < len(titles):
        titles = parents
    place = Path(record["output"]["path"])
    scores = judge(
        score,
        {title: models[path] for title, path in zip(titles, parents, strict=True)},
        merged=place,
        base=None if base is None else models[base],
        name=name_of(str(place)),
        how=how,
    )
    file = Path(words.rpartition(":")[0])
    noted = {"function": words, "sha256": sha256(file), "rows": scores.as_records()}
    _write({**record, "scores": noted}, place)
    return scores


def _place(model: Mapping[str, Any], results: Mapping[str, Path]) -> str | Path:
    """Where a model of a record is; one of the hub at the commit that was merged."""
    path, revision = str(model["path"]), model["revision"]
    if revision is not None:
        return f"{path.partition('@')[0]}@{revision}"
    return results.get(path, path)


def _write(record: Mapping[str, Any], place: Path) -> None:
    is_file = place.suffix == ".safetensors"
    target = place.with_suffix(".run.json") if is_file else place / RECORD
    with new_file(target, force=True) as new:
        new.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", "utf-8")

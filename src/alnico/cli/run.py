"""`alnico run`: a recipe -> the model that it makes, and how that was made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from alnico.cli import flags, render
from alnico.progress import sized

if TYPE_CHECKING:
    from alnico.recipe import Recipe
    from alnico.recipe.judged import Judge
    from alnico.recipe.options import Options

INTERRUPTED = 130
_LONG = 1.0  # seconds; the speed of shorter merges is that of starting


def run(
    recipe: flags.RecipeFile,
    output: flags.Output = None,
    plugin: flags.Plugin = None,
    score: flags.Score = None,
    dtype: flags.Dtype = None,
    shard_size: flags.ShardSize = None,
    seed: flags.Seed = None,
    threads: flags.Threads = 0,
    device: flags.Device = "cpu",
    integers_from: flags.IntegersFrom = None,
    allow_nonfinite: flags.Nonfinite = False,
    sha256: flags.Sha256 = False,
    compat: flags.Compat = None,
    strict: flags.Strict = False,
    stages: flags.KeptStages = None,
    resume: flags.Resume = False,
    force: flags.Force = False,
    quiet: render.Quiet = False,
    verbose: render.Verbose = False,
) -> None:
    """Carry out a recipe: alnico's own or mergekit's, told apart by its keys.

    `alnico plan RECIPE.yml` says beforehand what it will do.
    """
    from alnico.merging.execute import How
    from alnico.recipe.options import Options

    if plugin is not None:
        from alnico.merging import load_plugin

        load_plugin(plugin)
    options = Options(
        force=force,
        resume=resume,
        sha256=sha256,
        shard_size=flags.read_size(shard_size),
        dtype=dtype,
        seed=seed,
        integers_from=integers_from,
        exact=flags.read_compat(compat),
        strict=strict,
        stages=stages,
        how=How(threads, device, allow_nonfinite),
    )
    carry_out(recipe, output, options, score=score, quiet=quiet, verbose=verbose)


def carry_out(
    asked: Path | Recipe,
    output: Path | None,
    options: Options,
    *,
    score: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Carry out a recipe and say where the result lies; after Ctrl-C, how to go on.

    Args:
        asked: A recipe or its file.
        output: Where the result is to be, above what the recipe says.
        options: What is asked for beside the recipe.
        score: The function that scores the result and its parents, as `FILE.py:FUNCTION`.
        quiet: Whether nothing is said but errors.
        verbose: Whether a line is written for each tensor.
    """
    from alnico.recipe.run import run_recipe

    judge = _prepare_judge(score, asked, options)
    began = time.monotonic()
    try:
        with render.show_progress(quiet=quiet, verbose=verbose):
            record = run_recipe(asked, output, options=options)
    except KeyboardInterrupt:
        render.say("interrupted.  Go on:  the same command with --resume")
        raise typer.Exit(INTERRUPTED) from None
    closing = _closing(record, time.monotonic() - began)
    try:
        if judge is not None:
            with render.show_progress(quiet=quiet, verbose=verbose):
                scores = judge(record)
            typer.echo(scores.draw())
    except BaseException:
        render.say(closing)  # the model is there, whatever became of its scores
        raise
    render.say(closing, quiet=quiet)


def _prepare_judge(score: str | None, asked: Path | Recipe, options: Options) -> Judge | None:
    if score is None:
        return None
    from alnico.recipe.judged import prepare_judge

    return prepare_judge(score, asked, options)


def _closing(record: dict[str, Any], seconds: float) -> str:
    """Where the result lies; and after a while, how fast it was made."""
    place = Path(record["output"]["path"])
    if place.suffix == ".safetensors":
        said = f"{place} holds the model, {place.with_suffix('.run.json')} how it was made"
    else:
        said = f"{place} holds the model, its card and run.json"
    if seconds < _LONG:
        return f"{said}."
    n_bytes = sum(one["bytes"] for one in [*record["models"], record["output"]])
    speed = sized(round(n_bytes / seconds))
    return f"{said}: {sized(n_bytes)} read and written, {speed} a second."

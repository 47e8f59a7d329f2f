"""`alnico fit`: a table -> members, fusions, an honest leaderboard, and the run folder of it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from alnico.cli import render

if TYPE_CHECKING:
    from alnico.fitting import Fitted, Store

INTERRUPTED = 130

Names: TypeAlias = list[str] | None


def fit(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV or Parquet.")],
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    time_limit: Annotated[str | None, typer.Option(help="At most this long: 90s, 5m, 1h.")] = None,
    metric: Annotated[str | None, typer.Option(help="What rows are ranked by.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of splits, starts and orders.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder.")] = Path("run"),
    task: Annotated[str, typer.Option(help="auto, binary, multiclass or regression.")] = "auto",
    positive: Annotated[str | None, typer.Option(help="The positive class.")] = None,
    drop: Annotated[Names, typer.Option(help="Leave a column out; repeatable.")] = None,
    text: Annotated[Names, typer.Option(help="Read a column as text; repeatable.")] = None,
    category: Annotated[Names, typer.Option(help="Read a column as categories.")] = None,
    group: Annotated[str | None, typer.Option(help="Its rows stay in one part.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Split by time; latest is test.")] = None,
    window_end: Annotated[str | None, typer.Option(help="When a row's outcome is known.")] = None,
    optimiser: Annotated[Names, typer.Option(help="Train with it; repeatable.")] = None,
    architecture: Annotated[Names, typer.Option(help="Train it; repeatable.")] = None,
    kind: Annotated[Names, typer.Option(help="Try this kind of rows; repeatable.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The leaderboard as JSON.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Train several networks on a table, fuse them in every way, and rank them honestly.

    Rows are ranked on the validation part alone; the test part is opened once, at the end.
    """
    from alnico.data.table import read_table
    from alnico.errors import RecipeError
    from alnico.fitting import Options, Store, fit_table, seconds

    limit = seconds(time_limit)
    store = Store(output)
    if target is None and not resume:
        raise RecipeError("which column is to be predicted?", help="--target COLUMN")
    if not resume:
        store.check(force=force)
    with render.show_progress(quiet=quiet):
        opened = read_table(table)
        if resume:
            options = replace(store.resume(opened.digest), time_limit=limit)
        else:
            options = Options(
                target=str(target),
                task=task,
                positive=positive,
                metric=metric,
                time_limit=limit,
                seed=seed,
                drop=tuple(drop or ()),
                text=tuple(text or ()),
                category=tuple(category or ()),
                group=group,
                time_column=time_column,
                window_end=window_end,
                optimisers=tuple(optimiser or ()),
                architectures=tuple(architecture or ()),
                kinds=tuple(kind or ()),
            )
        fitted = fit_table(opened, options, store=store)
    finish(fitted, store, str(table), force=force or resume, as_json=as_json, quiet=quiet)


def finish(
    fitted: Fitted, store: Store, table: str, *, force: bool, as_json: bool, quiet: bool
) -> None:
    """Keep the run, show its leaderboard, say in words whether fusing paid and what comes next."""
    from alnico.cli.leaderboard import show
    from alnico.evaluation.drawing import fill
    from alnico.fitting import save_run

    save_run(store.out, fitted, force=force)
    show(fitted.records(), metric=fitted.prepared.metric.name, as_json=as_json)
    place = shlex.quote(str(store.out))
    if fitted.status == "interrupted":
        render.say(
            f"\ninterrupted: {store.out} holds the best so far, the test part is still shut."
        )
        render.say(f"Go on:  alnico fit {shlex.quote(table)} -o {place} --resume")
        raise typer.Exit(INTERRUPTED)
    store.end()
    if fitted.verdict:
        render.say("\n" + fill(fitted.verdict.text), quiet=quiet)
    render.say(f"\n{store.out} holds the model.  Next:", quiet=quiet)
    render.say(f"  alnico predict {place} new.csv -o out.csv", quiet=quiet)
    render.say(f"  alnico leaderboard {place} --all", quiet=quiet)

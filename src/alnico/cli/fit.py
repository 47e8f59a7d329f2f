"""`alnico fit`: a table -> members, fusions, an honest leaderboard, and the run folder of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from alnico.cli import render

if TYPE_CHECKING:
    from alnico.fitting import Fitted, Options

INTERRUPTED = 130

Names: TypeAlias = list[str] | None


def fit(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV or Parquet.")],
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    time_limit: Annotated[str | None, typer.Option(help="At most this long: 90s, 5m, 1h.")] = None,
    trials: Annotated[int | None, typer.Option(help="Search: train this many families.")] = None,
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
    together: Annotated[Names, typer.Option(help="apart, shared or papa; repeatable.")] = None,
    start_from: Annotated[Path | None, typer.Option(help="A run whose members join in.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The leaderboard as JSON.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Train several networks on a table, fuse them in every way, and rank them honestly.

    Rows are ranked on the validation part alone; the test part is opened once, at the end.
    """
    from alnico.errors import RecipeError
    from alnico.fitting import Options, seconds

    if target is None and not resume:
        raise RecipeError("which column is to be predicted?", help="--target COLUMN")
    options = Options(
        target=target or "",
        task=task,
        positive=positive,
        metric=metric,
        time_limit=seconds(time_limit),
        trials=trials,
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
        together=tuple(together or ()),
        start_from=None if start_from is None else str(start_from),
    )
    go_on = f"alnico fit {shlex.quote(str(table))} -o {shlex.quote(str(output))} --resume"
    with render.show_progress(quiet=quiet):
        fitted = _fit(table, output, options, resume=resume, force=force, go_on=go_on)
    show_fitted(fitted, output, go_on=go_on, as_json=as_json, quiet=quiet)


def _fit(
    table: Path, output: Path, options: Options, *, resume: bool, force: bool, go_on: str
) -> Fitted:
    """Fit and keep the run; whatever ends it early, what was trained can go on."""
    from alnico.data.table import read_table
    from alnico.errors import OutputError
    from alnico.fitting import Store, fit_table, save_run

    if options.start_from is not None and Path(options.start_from).resolve() == output.resolve():
        raise OutputError(f"{output} is the run to start from", help="choose another -o")
    store = Store(output)
    if not resume:
        store.check(force=force)
    opened = read_table(table)
    if resume:
        options = store.resume(opened.digest).go_on(options)
    try:
        fitted = fit_table(opened, options, store=store)
        save_run(output, fitted, force=force or resume)
    except BaseException:
        if store.give_up():
            render.say(f"What was trained is kept.  Go on:  {go_on}")
        raise
    if fitted.status == "complete":
        store.end()
    else:
        store.pause()
    return fitted


def show_fitted(fitted: Fitted, run: Path, *, go_on: str, as_json: bool, quiet: bool) -> None:
    """Show the leaderboard, say in words whether fusing paid and what comes next."""
    from alnico.cli.leaderboard import show
    from alnico.evaluation.drawing import fill

    show(fitted.records(), metric=fitted.prepared.metric.name, as_json=as_json)
    if fitted.status == "interrupted":
        render.say(f"\ninterrupted: {run} holds the best so far, the test part is still shut.")
        render.say(f"Go on:  {go_on}")
        raise typer.Exit(INTERRUPTED)
    place = shlex.quote(str(run))
    if fitted.verdict:
        render.say("\n" + fill(fitted.verdict.text), quiet=quiet)
    if fitted.predicts:
        render.say(fill(fitted.predicts.why), quiet=quiet)
    render.say(f"\n{run} holds the model.  Next:", quiet=quiet)
    render.say(f"  alnico report {place}", quiet=quiet)
    render.say(f"  alnico predict {place} new.csv -o out.csv", quiet=quiet)
    render.say(f"  alnico leaderboard {place} --all", quiet=quiet)

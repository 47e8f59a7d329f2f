"""`alnico demo`: the main job on the data of two real shops, explained as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alnico.cli import render
from alnico.cli.leaderboard import show

if TYPE_CHECKING:
    from alnico.data.demo import DemoTable
    from alnico.fitting import Fitted

SHOPS = {
    "purchases": "who buy in the next 90 days",
    "clothing": "who would not recommend what they bought",
}
"""Each shop, and whom it looks for."""


def demo(
    shop: Annotated[
        str | None, typer.Argument(help="purchases or clothing; both if left out.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where runs lie.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of splits, starts and orders.")] = 0,
    quiet: render.Quiet = False,
) -> None:
    """Fuse networks on the data of two real online shops: 6 minutes on two cores.

    Where fusing pays, and where it does not.
    """
    from alnico.data import demo as shops
    from alnico.errors import UnknownNameError
    from alnico.registry import suggest

    if shop is not None and shop not in SHOPS:
        raise UnknownNameError(f"there is no demo {shop!r}", help=suggest(shop, SHOPS))
    names = [shop] if shop else list(SHOPS)
    tables = [getattr(shops, name)() for name in names]
    _make_room(output, names)
    for table in tables:
        _run(table, output / table.name, seed=seed, quiet=quiet)
    render.say("Next:", quiet=quiet)
    first = output / names[0]
    render.say(f"  alnico report {first}                   all of it, as a page", quiet=quiet)
    render.say(f"  alnico leaderboard {first} --all        every row", quiet=quiet)
    render.say(f"  alnico leaderboard {first} --json       every figure", quiet=quiet)
    render.say("  alnico fit YOUR.csv --target COLUMN -o run/", quiet=quiet)


def _make_room(output: Path, names: Sequence[str]) -> None:
    """Find out before any work is done whether the run folders can be written."""
    from alnico.errors import OutputError
    from alnico.runs import check_place

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder {output} cannot be made: {error.strerror}", help="choose another -o"
        ) from error
    for name in names:
        check_place(output / name, force=True)


def _run(shop: DemoTable, folder: Path, *, seed: int, quiet: bool) -> None:
    from alnico.data.table import read_table
    from alnico.evaluation.drawing import fill
    from alnico.fitting import Options, fit_table, save_run

    render.say(f"\n{shop.name}: {shop.what}", quiet=quiet)
    render.say(fill(f"Data: {shop.source}."), quiet=quiet)
    with render.show_progress(quiet=quiet):
        _name_leaks(shop)
        options = Options(
            target=shop.target, seed=seed, drop=shop.drop, time_column=shop.time_column
        )
        fitted = fit_table(read_table(shop.frame, name=shop.name), options)
    typer.echo()
    show(fitted.records(), metric=fitted.prepared.metric.name, as_json=False)
    typer.echo()
    if fitted.status == "complete":
        assert fitted.verdict is not None
        assert fitted.predicts is not None
        typer.echo(fill(fitted.verdict.text))
        typer.echo(fill(fitted.predicts.why))
        typer.echo(fill(_worth(shop, fitted)))
    save_run(folder, fitted, force=True)
    typer.echo(f"The run folder: {folder}\n")
    if fitted.status != "complete":
        raise typer.Exit(130)


def _name_leaks(shop: DemoTable) -> None:
    """Look at the columns that the demo drops, too: the one that gives the target away is named."""
    from alnico import progress
    from alnico.data.leaks import find_leaks
    from alnico.data.schema import infer_schema
    from alnico.data.target import encode_target, infer_task

    schema = infer_schema(shop.frame, target=shop.target, time=shop.time_column)
    task, _ = infer_task(shop.frame[shop.target])
    target = encode_target(shop.frame[shop.target], task)
    for leak in find_leaks(shop.frame, schema, target, task):
        progress.note(
            "leak",
            f"{leak.column!r} gives {shop.target!r} away by itself "
            f"({leak.metric} {leak.score:.3f}): it is dropped",
        )


def _worth(shop: DemoTable, fitted: Fitted) -> str:
    """What the row that predicts means for the shop: who is found by contacting a tenth."""
    from alnico.evaluation.lift import captured
    from alnico.progress import spaced

    assert fitted.predicts is not None
    best = fitted.rows[fitted.predicts.row - 1].test_prediction
    assert best is not None
    prepared = fitted.prepared
    target = prepared.target[prepared.split.test]
    rare = int((target == 1).mean() < 0.5)
    contacted, share = captured(target == rare, best[:, rare])
    return (
        f"For the shop: of the customers {SHOPS[shop.name]}, {share:.0%} are found in the "
        f"tenth of the test part that the model ranks highest ({spaced(contacted)} rows); a tenth "
        "at random holds 10%."
    )

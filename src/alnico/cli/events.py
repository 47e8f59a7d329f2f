"""`alnico events`: a purchase log -> a table of customers and cut-offs, ready to be fitted."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from alnico.cli import render
from alnico.cli.output import check_output, write_table


def events(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="The purchases: CSV or Parquet.")],
    customer: Annotated[str, typer.Option(help="The column that says who bought.")],
    timestamp: Annotated[str, typer.Option(help="The column that says when.")],
    amount: Annotated[str, typer.Option(help="The column that says for how much.")],
    cutoff: Annotated[list[str], typer.Option(help="A date to predict from; repeat for more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The table, .parquet or .csv.")],
    item: Annotated[str | None, typer.Option(help="The column that says what.")] = None,
    window: Annotated[str, typer.Option(help="How far to look ahead: 48h, 90d, 12w.")] = "90d",
    per: Annotated[
        Literal["day", "event"], typer.Option(help="One order is a customer's day, or each row.")
    ] = "day",
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Turn a purchase log into one row per customer and cut-off date.

    A row's features see purchases before its cut-off only; its targets, `buys` and `amount`, tell
    what the customer did in the window after it.
    """
    check_output(output, inputs=[log], force=force)
    from alnico import progress
    from alnico.data.events import make_table
    from alnico.data.table import read_table
    from alnico.progress import spaced

    with render.show_progress(quiet=quiet):
        table = make_table(
            read_table(log).frame,
            customer=customer,
            timestamp=timestamp,
            amount=amount,
            item=item,
            cutoffs=cutoff,
            window=window,
            per=per,
        )
        write_table(table, output)
        buyers = table.get_column("buys").mean()
        assert isinstance(buyers, float)
        n_features = table.width - len(("customer", "cutoff", "window_end", "buys", "amount"))
        progress.note(
            "table",
            f"{spaced(table.height)} rows, {n_features} features; {100 * buyers:.1f} % buy",
        )
    place = shlex.quote(str(output))
    render.say(f"{output} holds the table.  Next:", quiet=quiet)
    render.say(f"  alnico fit {place} --target buys {_how_to_split(len(cutoff))}", quiet=quiet)


def _how_to_split(n_cutoffs: int) -> str:
    """By time where each part can have a cut-off of its own, else by customer."""
    if n_cutoffs >= 3:
        return "--drop customer --drop amount --time-column cutoff"
    return "--drop amount --drop cutoff --drop window_end --group customer"

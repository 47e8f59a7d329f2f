"""`alnico leaderboard`: the rows of a run, best first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer


def leaderboard(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    everything: Annotated[bool, typer.Option("--all", help="Every row, not one a kind.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every figure of every row.")] = False,
) -> None:
    """Show the leaderboard of a run.

    Row numbers are what `alnico predict --row` takes.
    """
    from alnico.runs import read_run

    record = read_run(run).record
    show(record["rows"], metric=record["metric"], as_json=as_json, everything=everything)


def show(
    rows: Sequence[dict[str, Any]], *, metric: str, as_json: bool, everything: bool = False
) -> None:
    """Print rows to stdout, as a table or as JSON."""
    from alnico.evaluation.drawing import draw_leaderboard

    if as_json:
        typer.echo(json.dumps({"metric": metric, "rows": list(rows)}, indent=1, allow_nan=False))
    else:
        typer.echo(draw_leaderboard(rows, metric=metric, everything=everything))

"""`alnico evaluate`: how well a run predicts a labelled table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from alnico.cli import render


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Rows with the target.")],
    row: Annotated[int | None, typer.Option(help="Evaluate this leaderboard row.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Score a run's predictions on a table that has the target column."""
    from alnico.evaluation.drawing import Column, draw_table
    from alnico.predicting import load

    with render.show_progress(quiet=quiet):
        model = load(run, row=row)
        scores = model.evaluate(table)
    if as_json:
        typer.echo(json.dumps({"row": model.row["row"], "scores": scores}, allow_nan=False))
        return
    cells = [[name, f"{score:.4f}"] for name, score in scores.items()]
    typer.echo(draw_table([Column("metric"), Column("score", "right")], cells))

"""`alnico predict`: new rows -> predictions, in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alnico.cli import render
from alnico.cli.output import check_output, write_table


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="New rows: CSV or Parquet.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Predictions: .csv, .parquet.")],
    row: Annotated[int | None, typer.Option(help="Predict with this leaderboard row.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the input's columns.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Predict new rows with the best row of a run.

    Writes a column `prediction`, and `probability_<class>` for each class.
    """
    check_output(output, inputs=[table], force=force)
    from alnico.predicting import load

    with render.show_progress(quiet=quiet):
        model = load(run, row=row)
        frame = model.as_frame(table, keep=keep)
        write_table(frame, output)
    how = f"row {model.row['row']}, {model.row['kind']} of {model.row['parts']}"
    render.say(
        f"{output} holds {frame.height} predictions of {model.target!r} ({how})", quiet=quiet
    )

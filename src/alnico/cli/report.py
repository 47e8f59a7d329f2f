"""`alnico report`: a run folder -> one HTML page that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alnico.cli import render


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page.", show_default="RUN/report.html"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the page.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Write one self-contained HTML page about a run.

    Leaderboard, cost, curves, calibration, learning, search; it opens offline and loads nothing.
    """
    from alnico import progress
    from alnico.report import write_report

    with render.show_progress(quiet=quiet), progress.phase("report", f"of {run}"):
        place = write_report(run, output, force=force)
    typer.echo(str(place))

"""`alnico diff`: how far two models are apart, as a table, as JSON, or as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alnico.cli import flags, render
from alnico.errors import IncompatibleModelsError, OutputError

if TYPE_CHECKING:
    from alnico.merging.difference import Difference

_PAGES = (".html", ".htm")

_First = Annotated[str, typer.Argument(metavar="A", help="A file, a folder or a hub name.")]
_Second = Annotated[str, typer.Argument(metavar="B", help="Another.")]
_Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page.")]


def diff(
    a: _First,
    b: _Second,
    base: flags.Base = None,
    by_tensor: Annotated[bool, typer.Option("--tensors", help="A row for each tensor.")] = False,
    rank: Annotated[
        bool, typer.Option("--rank", help="The effective rank of large matrices, too; slow.")
    ] = False,
    page: _Page = None,
    threads: flags.Threads = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 if names, shapes or dtypes differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the page.")] = False,
    quiet: render.Quiet = False,
) -> None:
    """Say how far two models are apart, layer by layer, and from their base.

    Distances are relative to A, or to the base. Cosine and signs are of the changes from the
    base, or of the values without one. What only one of them has is part of the answer.
    """
    from alnico.merging.diff import diff as compare
    from alnico.merging.difference_table import draw_difference

    if page is not None:
        _check_page(page, force=force)
    with render.show_progress(quiet=quiet):
        found = compare(a, b, base=base, rank=rank, threads=threads)
    if page is not None:
        _write_page(found, page, force=force)
    if as_json:
        typer.echo(json.dumps(found.record(), indent=1, allow_nan=False))
    else:
        typer.echo(draw_difference(found, by_tensor=by_tensor))
    if page is not None:
        render.say(f"{page} holds the page.", quiet=quiet)
    if strict and not found.fits:
        raise _misfit(found)


def _check_page(page: Path, *, force: bool) -> None:
    from alnico.checkpoint.files import check_place

    if page.suffix.lower() not in _PAGES:
        raise OutputError(f"{page}: a page ends in .html", help=f"--html {page}.html")
    check_place(page, force=force)


def _write_page(found: Difference, page: Path, *, force: bool) -> None:
    from alnico.checkpoint.files import new_file
    from alnico.report.difference import difference_page

    with new_file(page, force=force) as partial:
        partial.write_text(difference_page(found.record()), "utf-8")


def _misfit(found: Difference) -> IncompatibleModelsError:
    counts = {
        f"only {found.a} has": found.only_a,
        f"only {found.b} has": found.only_b,
        "differ in shape": found.shapes,
        "differ in dtype": found.dtypes,
    }
    said = ", ".join(f"{len(names)} {what}" for what, names in counts.items() if names)
    return IncompatibleModelsError(
        f"{found.a} and {found.b} do not fit together, by tensors: {said}",
        help="leave out --strict to take this as an answer",
    )

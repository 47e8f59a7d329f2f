"""A run folder -> one HTML file that opens offline and asks nothing of any host."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.checkpoint.files import check_place, new_file
from alnico.errors import AlnicoError, OutputError, RunFolderError
from alnico.registry import need
from alnico.report.about import about
from alnico.report.calibration import calibration
from alnico.report.cost import cost
from alnico.report.facts import Facts
from alnico.report.headline import headline
from alnico.report.leaderboard import leaderboard
from alnico.report.leaning import leaning
from alnico.report.learning import learning
from alnico.report.markup import Html, join, tag
from alnico.report.numbers import numbers
from alnico.report.quality import quality
from alnico.report.search import search
from alnico.runs import MODEL, RUN, TENSOR_FILES, Run, read_run

if TYPE_CHECKING:
    from collections.abc import Iterable

REPORT = "report.html"
"""Where a report lies in its run folder, if it is not said otherwise."""


def write_report(
    run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, force: bool = False
) -> Path:
    """Write the report of a run: one page with everything in it.

    Args:
        run: The run folder.
        out: The page; None puts it into the run folder, as `REPORT`.
        force: Whether a page that is there may be replaced.

    Returns:
        Where it lies.

    Raises:
        RunFolderError: If it is not a run folder, or is incomplete or was changed.
        OutputError: If the page is there already, or cannot be written.
        MissingExtraError: If Plotly is not installed.
    """
    folder = Path(run)
    place = folder / REPORT if out is None else Path(out)
    opened = read_run(folder)
    if place.resolve() in [(folder / name).resolve() for name in (RUN, MODEL, *TENSOR_FILES)]:
        raise OutputError(f"{place} is a file of the run itself", help="choose another -o")
    check_place(place, force=force)
    whole = page(opened)
    with new_file(place, force=force) as partial:
        partial.write_text(whole, "utf-8")
    return place


def page(run: Run) -> str:
    """The report of an open run folder, as HTML.

    Raises:
        RunFolderError: If the record lacks what a report needs.
        MissingExtraError: If Plotly is not installed.
    """
    need("plotly.offline")
    from plotly.offline import get_plotlyjs

    facts = Facts(run)
    try:
        body = _body(facts)
    except AlnicoError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{run.folder}: run.json does not hold what a report needs ({error!r})",
            help="restore the folder from where it was written",
        ) from error
    drawing, ours = Html(get_plotlyjs()), _template("page.js")
    return "".join(
        [
            "<!doctype html>\n",
            '<html lang="en">',
            _head(f"{facts.target}: alnico report", scripts=(drawing, ours)),
            tag("body", body, tag("script", drawing), tag("script", ours)),
            "</html>\n",
        ]
    )


def _body(facts: Facts) -> Html:
    quality_of = [numbers] if facts.kind == "regression" else [quality, calibration]
    parts = [headline, leaderboard, cost, *quality_of, learning, search, leaning, about]
    offline = tag("p", "Charts need JavaScript, which is off.", class_="muted")
    return tag("main", tag("noscript", offline), *(part(facts) for part in parts))


def _head(title: str, *, scripts: Iterable[Html]) -> Html:
    """Title, style, and what the page may do: run these two scripts, and load nothing at all."""
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return join(
        [
            Html("<head>"),
            Html('<meta charset="utf-8">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html('<meta name="color-scheme" content="light dark">'),
            tag("title", title),
            tag("style", _template("page.css")),
            Html("</head>"),
        ]
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _template(name: str) -> Html:
    return Html((files("alnico.report") / "templates" / name).read_text("utf-8"))

"""A run folder -> one HTML file that opens offline and asks nothing of any host."""

from __future__ import annotations

import os
from pathlib import Path

from alnico.checkpoint.files import check_place, new_file
from alnico.errors import AlnicoError, OutputError, RunFolderError
from alnico.registry import need
from alnico.report.about import about
from alnico.report.calibration import calibration
from alnico.report.cost import cost
from alnico.report.document import document, template
from alnico.report.facts import Facts
from alnico.report.headline import headline
from alnico.report.leaderboard import leaderboard
from alnico.report.leaning import leaning
from alnico.report.learning import learning
from alnico.report.markup import Html, tag
from alnico.report.numbers import numbers
from alnico.report.quality import quality
from alnico.report.search import search
from alnico.runs import MODEL, RUN, TENSOR_FILES, Run, read_run

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
    scripts = (Html(get_plotlyjs()), template("page.js"))
    return document(f"{facts.target}: alnico report", body, scripts=scripts)


def _body(facts: Facts) -> Html:
    quality_of = [numbers] if facts.kind == "regression" else [quality, calibration]
    parts = [headline, leaderboard, cost, *quality_of, learning, search, leaning, about]
    offline = tag("p", "Charts need JavaScript, which is off.", class_="muted")
    return tag("main", tag("noscript", offline), *(part(facts) for part in parts))

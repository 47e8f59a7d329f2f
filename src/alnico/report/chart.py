"""A chart: what Plotly is to draw, and the element of the page that it is drawn into.

Colours are names of the style sheet's variables, so that a chart is light or dark as the page is.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from alnico.report.markup import Html, tag

Trace: TypeAlias = "dict[str, Any]"

ACCENT, MUTED, TEXT, LINE = "--accent", "--muted", "--text", "--line"
COLOURS = ("--accent", "--c2", "--c3", "--c4", "--c5", "--c6")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
HOVER = "%{text}<extra></extra>"
"""Shows a point's own text, and nothing else."""

_MAX_LABEL = 60
_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Noto Sans, sans-serif"


@dataclass(frozen=True)
class Chart:
    """What is drawn.

    Args:
        name: Its id in the page.
        alt: What it shows, in a sentence, for those who do not see it.
        caption: What stands below it.
        traces: What Plotly draws; `meta` of a trace is the choice that it belongs to.
        layout: Plotly's layout: axes made by `axis`, and what else is needed.
        height: In pixels.
        choices: What can be chosen among, e.g. architectures; the first is shown at first.
        choose: What the choice is called.
    """

    name: str
    alt: str
    caption: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    height: int = 400
    choices: Sequence[str] = field(default=())
    choose: str = ""


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with its title and the page's colours."""
    return {
        "title": {"text": title, "standoff": 12, "font": {"color": MUTED, "size": 13}},
        "gridcolor": LINE,
        "linecolor": LINE,
        "zerolinecolor": LINE,
        "tickcolor": LINE,
        "automargin": True,
        **more,
    }


def label(text: object) -> str:
    """A name from the run as Plotly may draw it, which reads a little HTML itself."""
    plain = str(text)
    short = plain if len(plain) <= _MAX_LABEL else plain[: _MAX_LABEL - 3] + "..."
    return html.escape(short, quote=False)


def lines(*texts: str) -> str:
    """Lines of a hover text; each was escaped already."""
    return "<br>".join(texts)


def draw(chart: Chart) -> Html:
    """The element that a chart is drawn into, with its data; a script of the page fills it."""
    choices = [tag("option", choice, value=choice) for choice in chart.choices]
    chooser = None
    if len(choices) > 1:
        select = tag("select", *choices, id=f"{chart.name}-choice")
        chooser = tag("label", f"{chart.choose} ", select, class_="choose")
    place = tag(
        "div",
        id=chart.name,
        class_="chart",
        role="img",
        aria_label=chart.alt,
        style=f"height:{chart.height}px",
    )
    data = _json({"data": chart.traces, "layout": _layout(chart)})
    script = tag("script", Html(data), type="application/json", id=f"{chart.name}-data")
    return tag("figure", chooser, place, tag("figcaption", chart.caption), script)


def _layout(chart: Chart) -> dict[str, Any]:
    return {
        "font": {"color": TEXT, "size": 13, "family": _FONT},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "--raised", "bordercolor": LINE, "font": {"color": TEXT}},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "title": {"text": ""},
        },
        "margin": {"l": 10, "r": 10, "t": 20, "b": 10},
        "hovermode": "closest",
        **chart.layout,
    }


def _json(value: object) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    text = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: object) -> object:
    """Numbers in six digits, which no screen shows apart; what is not finite is null, a gap."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value

"""A heat map without a script: strips of coloured cells that show a text when pointed at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alnico.evaluation.drawing import three_digits
from alnico.report.markup import Html, tag

_MAX_TICKS = 12


@dataclass(frozen=True)
class Strip:
    """A row of cells.

    Args:
        label: What it shows.
        values: One for each cell; None where there is none.
        middle: The value without colour; those below it have another one.
        reach: How far from there the colour is full; None takes the farthest value.
        scale: Strips of one name that have no reach of their own share one.
    """

    label: str
    values: Sequence[float | None]
    middle: float = 0.0
    reach: float | None = None
    scale: str = ""


def heat_map(
    strips: Sequence[Strip], names: Sequence[str], ticks: Sequence[str], *, alt: str, caption: str
) -> Html:
    """A figure of strips that stand above one another, cell above cell.

    Args:
        strips: The rows.
        names: What each cell of a strip is about.
        ticks: The numbers below cells, where there is room; empty where there is none.
        alt: What it shows, in a sentence, for those who do not see it.
        caption: What stands below it.
    """
    scales: dict[str, float] = {}
    for strip in strips:
        reach = max((abs(v - strip.middle) for v in strip.values if v is not None), default=0.0)
        scales[strip.scale] = max(reach, scales.get(strip.scale, 0.0))
    every = math.ceil(len(ticks) / _MAX_TICKS)
    below = [
        tag("span", tick if tick and int(tick) % every == 0 else "", aria_hidden="true")
        for tick in ticks
    ]
    drawn = [
        _strip(strip, names, scales[strip.scale] if strip.reach is None else strip.reach)
        for strip in strips
    ]
    ruler = tag("div", *below, class_="ticks")
    image = tag("div", *drawn, ruler, class_="heat", role="img", aria_label=alt)
    return tag("figure", image, tag("figcaption", caption))


def _strip(strip: Strip, names: Sequence[str], reach: float) -> Html:
    cells = [
        _cell(
            f"{name}  {three_digits(value)}", None if value is None else value - strip.middle, reach
        )
        for name, value in zip(names, strip.values, strict=True)
    ]
    title = tag("div", tag("span", strip.label), tag("span", _range(strip.values)), class_="label")
    return tag("div", title, tag("div", *cells, class_="cells"), class_="strip")


def _range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{three_digits(min(known))} to {three_digits(max(known))}" if known else ""


def _cell(said: str, value: float | None, reach: float) -> Html:
    """A cell; its text is shown by the style sheet."""
    if value is None:
        return tag("i", class_="none", data_said=said, tabindex=-1)
    share = round(100 * abs(value) / reach) if reach else 0
    class_ = "below" if value < 0 else None
    return tag("i", class_=class_, style=f"--share:{share}%", data_said=said, tabindex=-1)

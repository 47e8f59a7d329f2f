"""Tables for a reader: plain text within 84 columns, no colour, no boxes, one rule."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

R = TypeVar("R", bound=Mapping[str, Any])

WIDTH = 84
"""No line is wider, if its words can be broken."""


@dataclass(frozen=True)
class Column:
    """A column of a drawn table.

    Args:
        title: What stands above the rule.
        align: Words to the left, numbers to the right; only words are ever cut.
    """

    title: str
    align: Literal["left", "right"] = "left"


def fill(text: str) -> str:
    """Break a paragraph into lines that fit."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def draw_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, encoding: str | None = None
) -> str:
    """Draw a table: titles, one rule, a line per row; the widest words are cut to fit.

    Args:
        columns: What the cells are.
        rows: Their cells, as many as there are columns.
        encoding: What the rule must be written in; None is that of stdout.
    """
    cells = [[column.title for column in columns], *(list(row) for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    gap = 3 if sum(widths) + 3 * (len(widths) - 1) <= WIDTH else 2
    words = [i for i, column in enumerate(columns) if column.align == "left"]
    while sum(widths) + gap * (len(widths) - 1) > WIDTH:
        widest = max(words, key=lambda i: widths[i], default=None)
        if widest is None or widths[widest] <= len("..."):
            break
        widths[widest] -= 1
    lines = [
        (" " * gap).join(map(_fit, row, widths, (column.align for column in columns))).rstrip()
        for row in cells
    ]
    rule = _rule(encoding or sys.stdout.encoding) * (sum(widths) + gap * (len(widths) - 1))
    return "\n".join([lines[0], rule, *lines[1:]])


_LEADERBOARD = (
    Column("#", "right"),
    Column("kind"),
    Column("params", "right"),
    Column("valid", "right"),
    Column("test", "right"),
    Column("gain  95 % interval", "right"),
    Column("fit s", "right"),
    Column("us/row", "right"),
)


def draw_leaderboard(
    rows: Sequence[dict[str, Any]], *, metric: str, everything: bool = False
) -> str:
    """Draw a leaderboard: by default the best row of each kind, of singles each architecture's.

    Args:
        rows: The records of `alnico.fitting.leaderboard.as_records`, best first.
        metric: What they are ranked by.
        everything: Draw every row.
    """
    live = [row for row in rows if row["skipped"] is None]
    shown = live if everything else best_of_each(live)
    drawn = draw_table(_LEADERBOARD, [_cells(row) for row in shown])
    single = next((row for row in live if row["kind"] == "single"), None)
    notes = []
    if single is not None and single["test"] is not None:
        notes.append(
            f"{metric}; gain: on the test part, over the best single network "
            f"(# {single['row']}), + is better"
        )
    elif single is not None:
        notes.append(f"{metric} on the validation part; the test part is still shut")
    if len(shown) < len(live):
        notes.append(f"{len(shown)} of {len(live)} rows, the best of each kind")
    skipped: dict[str, list[str]] = {}
    for row in rows:
        if row["skipped"] is not None:
            skipped.setdefault(row["skipped"], []).append(row["kind"])
    notes += [f"skipped: {', '.join(kinds)} ({why})" for why, kinds in skipped.items()]
    return "\n".join([drawn, *map(fill, notes)])


def best_of_each(rows: Sequence[R]) -> list[R]:
    """The best row of each kind, of single networks that of each architecture; best first."""
    first: dict[str, R] = {}
    for row in rows:
        first.setdefault(title(row), row)
    return list(first.values())


def title(row: Mapping[str, Any]) -> str:
    """What a row is called: its kind, and of a single network its architecture."""
    if row["kind"] == "single":
        return f"single {row['parts'].split('-')[0]}"
    return f"{row['kind']}, all" if row["parts"].startswith("all ") else str(row["kind"])


def _cells(row: dict[str, Any]) -> list[str]:
    gain = "" if row["gain"] is None else score(row["gain"], sign="+")
    if gain and (row["gain_low"], row["gain_high"]) != (0.0, 0.0):
        gain += "  " + " ".join(score(row[end], sign="+") for end in ("gain_low", "gain_high"))
    elif gain:  # the row that others are held against
        gain += " " * len("  +0.0000 +0.0000")
    time = row["microseconds_a_row"]
    return [
        str(row["row"]),
        title(row),
        _count(row["parameters"]),
        score(row["valid"]),
        score(row["test"]),
        gain,
        _short(row["fit_seconds"]),
        "" if time is None else _short(time),
    ]


def score(value: float | None, *, sign: str = "") -> str:
    """A score in four decimals, or five digits if it is large; with "+", its sign, too."""
    if value is None:
        return "-"
    return f"{value:{sign}.4f}" if abs(value) < 100 else f"{value:{sign}.5g}"


def three_digits(value: float | None) -> str:
    """A measure in three digits; what is not quite 1 does not read so."""
    if value is None:
        return "-"
    if value in (-1, 0, 1):
        return f"{value:.0f}"
    if 0.9995 <= abs(value) < 1:
        return f"{math.copysign(min(abs(value), 0.999999), value):.6f}"
    return f"{value:#.3g}".removesuffix(".")


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _count(n: int) -> str:
    if n < 1_000:
        return str(n)
    if n < 999_500:
        return f"{n / 1e3:.0f} k"
    return f"{n / 1e6:.1f} M" if n < 999.5e6 else f"{n / 1e9:.1f} G"


def _rule(encoding: str | None) -> str:
    try:
        "─".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "-"
    return "─"


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _fit(text: str, width: int, align: str) -> str:
    from rich.cells import set_cell_size

    if _width(text) > width:
        text = set_cell_size(text, width - 3) + "..."
    space = " " * (width - _width(text))
    return text + space if align == "left" else space + text

"""Draw a run's leaderboard as an SVG picture: `python docs/picture.py RUN OUT.svg`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from alnico.evaluation.drawing import WIDTH, draw_leaderboard, fill
from alnico.runs import read_run

PAPER = TerminalTheme(
    (252, 252, 250),
    (40, 44, 52),
    [(40, 44, 52), (190, 60, 60), (60, 140, 80), (160, 120, 30), (50, 100, 170)]
    + [(90, 90, 90)] * 3,
)
FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace;
font-size: {char_height}px; line-height: {line_height}px; }} {styles}</style>
<rect width="100%" height="100%" rx="8" fill="#fcfcfa" stroke="#d8d8d0"/>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}"
height="{terminal_height}"/></clipPath>{lines}</defs>
<g transform="translate(10, 14)" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main(run: str, out: str) -> None:
    record = read_run(Path(run)).record
    console = Console(record=True, width=WIDTH + 2, file=io.StringIO(), highlight=False)
    table = draw_leaderboard(record["rows"], metric=record["metric"])
    for line in table.splitlines():
        cells = line.split()
        fused = (
            len(cells) > 1
            and cells[0].isdigit()
            and cells[1] not in ("linear", "single", "single_refit")
        )
        console.print(Text(line, style="bold" if fused and cells[0] == "1" else ""))
    console.print()
    console.print(Text(fill(record["verdict"]["text"])))
    svg = console.export_svg(theme=PAPER, code_format=FORMAT, unique_id="a")
    Path(out).write_text(svg, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

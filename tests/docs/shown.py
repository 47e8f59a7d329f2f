"""What a page shows, played as a reader would: files written, commands and Python run, in order.

In a page, a block whose first line names a file in a comment is written there, and other Python is
run. A line of a console that begins with `$` is a command, and the lines after it are what it
prints; `...` stands for any lines, and what differs from machine to machine is not compared.
"""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from alnico.cli.app import main

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"# (\S+\.(?:yml|py))\b")
_VARIES = (
    (r"\b[0-9a-f]{10,}\b", "#"),  # a digest
    (r"\b[\d.]+ [MG]B at most", "# at most"),  # memory grows with threads
    (r"about .+ on \d+ threads?", "about #"),
    (r": [\d.]+ \wB read and written, .+ a second", ""),  # said of what took a while
    (r" +$", ""),
)


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    text: str


class Command(NamedTuple):
    """A command, and what a page says that it prints."""

    words: list[str]
    printed: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _BLOCK.findall(page.read_text("utf-8"))]


def commands(console: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        line, _, printed = re.sub(r" *\\\n *", " ", part).partition("\n")
        yield Command(shlex.split(line, comments=True), printed)


def play(page: Path, folder: Path) -> None:
    """Do in a folder, which is the current one, all that a page shows."""
    kept: dict[str, object] = {}
    printed = ""
    for block in blocks(page):
        named = _NAMED.match(block.text)
        if named is not None and block.language in ("yaml", "python"):
            (folder / named[1]).write_text(block.text, "utf-8")
        elif block.language == "console":
            for command in commands(block.text):
                compare(command.printed, run(command.words), shlex.join(command.words))
        elif block.language == "python":
            printed = _capture(lambda code=block.text: exec(compile(code, page.name, "exec"), kept))
        elif block.language == "text":
            compare(block.text, printed, page.name)
        else:
            raise AssertionError(f"{page.name}: a block in {block.language or 'no language'}")


def run(words: Sequence[str]) -> str:
    """What a command prints, both streams as they come."""
    if words[0] == "alnico":
        return _capture(lambda: main(list(words[1:])))
    if words[0] == "python":
        return _capture(lambda: _run_script(words[1:]))
    assert words[0] in ("ls", "cmp"), f"a command that is not played: {words}"
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def compare(shown: str, printed: str, what: str) -> None:
    """See that a page shows what is printed."""
    lines = [re.escape(line) for line in _settled(shown).splitlines()]
    pattern = "".join("(?:.*\n)*?" if line == r"\.\.\." else f"{line}\n" for line in lines)
    text = "".join(f"{line}\n" for line in _settled(printed).splitlines())
    assert re.fullmatch(pattern, text), f"{what} prints\n{printed}\nand the page shows\n{shown}"


def _settled(text: str) -> str:
    for pattern, instead in _VARIES:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text.strip("\n")


def _capture(do: Callable[[], object]) -> str:
    written = io.BytesIO()
    out = io.TextIOWrapper(written, "utf-8", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        do()
    return written.getvalue().decode("utf-8")


def _run_script(words: Sequence[str]) -> None:
    before = sys.argv
    sys.argv = list(words)
    try:
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")
    finally:
        sys.argv = before

"""Faults of a recipe: each with its line, all told at once, in the two forms that messages have."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from alnico.errors import RecipeError

WIDTH = 84
"""Columns of a message: a hint that would pass them stands on a line of its own."""

GAP = 5
"""Blanks before a hint."""

LONGEST = 60
"""Characters of a value that a message shows."""


MOST = 100
"""Faults that are told; where there are more, a file is no recipe at all."""


class Fault(NamedTuple):
    """One thing that is wrong.

    Args:
        line: Where, counted from 1.
        text: What.
        hint: What to do about it.
    """

    line: int
    text: str
    hint: str | None


class Faults:
    """The faults that were found in one recipe so far.

    Args:
        path: The recipe's file, as messages call it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[Fault, None] = {}

    def add(self, line: int, text: str, hint: str | None = None) -> None:
        """Note a fault; the same one twice is one.

        Raises:
            RecipeError: With all that were found, once there are too many to be read.
        """
        self._found.setdefault(Fault(line, text, hint))
        if len(self._found) == MOST:
            self.check()

    def __len__(self) -> int:
        return len(self._found)

    def check(self) -> None:
        """Go on only if there is no fault.

        Raises:
            RecipeError: With every fault, in the order of lines.
        """
        found = sorted(self._found, key=lambda fault: fault.line)
        if len(found) == 1:
            raise fault_at(self.path, *found[0])
        if found:
            rows = [(f"  line {fault.line}", fault.text, fault.hint or "") for fault in found]
            count = f"{MOST} faults or more" if len(found) == MOST else f"{len(found)} faults"
            title = f"{count} in {self.path}"
            raise RecipeError("\n".join([title, *_columns(rows), "  nothing was read or written"]))


def fault_at(path: Path, line: int, text: str, hint: str | None = None) -> RecipeError:
    """The error of a fault that is alone."""
    return RecipeError(f"{text}\n  --> {path}:{line}", help=hint)


def shown(value: object) -> str:
    """A value as messages show it: whole if it is short."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _columns(rows: list[tuple[str, str, str]]) -> list[str]:
    """Lines, texts and hints; the hints below each other if all fit, else each where it fits."""
    left = max(len(line) for line, _, _ in rows) + 2
    middle = max((len(text) for _, text, hint in rows if hint), default=0)
    longest = max(len(hint) for *_, hint in rows)
    if left + middle + GAP + longest > WIDTH:
        middle = 0
    written = []
    for line, text, hint in rows:
        beside = f"{line:<{left}}{text:<{middle}}{'':{GAP}}{hint}"
        if not hint or len(beside) <= WIDTH:
            written.append(beside.rstrip())
        else:
            written += [f"{line:<{left}}{text}", " " * left + hint]
    return written

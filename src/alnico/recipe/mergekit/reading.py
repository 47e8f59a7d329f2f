"""A recipe while it is read: every fault and every stray key is noted with its line.

Nothing here knows what a key means; `parse` and `tokenizers` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from alnico.recipe.faults import Faults, shown
from alnico.recipe.mergekit.table import ALL_PARAMETERS
from alnico.recipe.yaml_text import Located
from alnico.registry import closest

Where: TypeAlias = "tuple[str | int, ...]"
"""The way to a value: the keys and places on it, from the top."""


class Reading:
    """A document, and what was found wrong or odd in it so far.

    Args:
        document: What is read.
        path: Its file, as messages call it.
        strict: Whether keys without meaning are faults.
    """

    def __init__(self, document: Located, path: Path, *, strict: bool = False) -> None:
        self.path = path
        self.strict = strict
        self.faults = Faults(path)
        self._value = document.plain()
        self._lines = document.lines()
        self._said: dict[str, None] = {}

    @property
    def said(self) -> tuple[str, ...]:
        """What the user should know, a line each."""
        return tuple(self._said)

    def at(self, where: Where) -> object:
        """What stands there; None if nothing does."""
        value = self._value
        for step in where:
            if isinstance(step, str):
                value = value.get(step) if isinstance(value, Mapping) else None
            else:
                value = value[step] if isinstance(value, list) and step < len(value) else None
        return value

    def line(self, where: Where) -> int:
        """The line on which it stands, or that of what it would stand in."""
        ways = (where[:end] for end in range(len(where), -1, -1))
        return next(self._lines[way] for way in ways if way in self._lines)

    def fault(self, where: Where, text: str, *, help: str | None = None) -> None:
        """Note what is wrong."""
        self.faults.add(self.line(where), text, help)

    def say(self, where: Where, text: str, *, help: str | None = None) -> None:
        """Note what has no effect, or another than its author may think."""
        hint = "" if help is None else f": {help}"
        self._said.setdefault(f"{self.path}:{self.line(where)}: {text}{hint}")

    def stray(self, where: Where, known: Iterable[str]) -> None:
        """Note a key that means nothing where it stands."""
        key = str(where[-1])
        near = closest(key, known)
        if near is None and key in ALL_PARAMETERS:
            text = f"{key} has no effect here"
            help: str | None = "it belongs under parameters"
        else:
            text = f"{key} is not known to mergekit, nor to alnico"
            help = None if near is None else f"did you mean {near}?"
        self.without_effect(where, text, help=help)

    def without_effect(self, where: Where, text: str, *, help: str | None = None) -> None:
        """Note a key that mergekit would pass over in silence: a fault if that is asked for."""
        note = self.fault if self.strict else self.say
        note(where, text, help=help)

    def keys(self, where: Where, known: Iterable[str]) -> list[str]:
        """The known keys of a mapping that have a value; others are noted as stray."""
        value, names = self.at(where), list(known)
        if not isinstance(value, Mapping):
            self.fault(where, f"{_called(where)} must be a mapping, got {shown(value)}")
            return []
        for key in value:
            if key not in names:
                self.stray((*where, key), names)
        return [name for name in names if value.get(name) is not None]

    def places(self, where: Where) -> list[Where]:
        """The way to each entry of a list."""
        value = self.at(where)
        if not isinstance(value, list) or not value:
            self.fault(where, f"{_called(where)} must be a list with entries, got {shown(value)}")
            return []
        return [(*where, i) for i in range(len(value))]

    def text(self, where: Where) -> str | None:
        """A text; None, and a fault, if it is something else."""
        value = self.at(where)
        if isinstance(value, str) and value:
            return value
        self.fault(where, f"{_called(where)} must be a text, got {shown(value)}")
        return None


def _called(where: Where) -> str:
    return next((str(step) for step in reversed(where) if isinstance(step, str)), "a recipe")

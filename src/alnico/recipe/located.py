"""A value of a YAML file with its line, and what a scalar without quotes means.

Numbers, `true` and `null` are those of YAML 1.2, so that `1e-5` is a number and `1:30` a text. The
words `yes`, `no`, `on` and `off` are booleans, as in YAML 1.1, which other tools read recipes by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Scalar: TypeAlias = "bool | int | float | str | None"

_WORDS: dict[str, Scalar] = {"": None, "~": None, ".nan": float("nan")}
_WORDS |= dict.fromkeys(["null", "Null", "NULL"])
_WORDS |= {form: True for word in ("true", "yes", "on") for form in (word, word.title())}
_WORDS |= {form: False for word in ("false", "no", "off") for form in (word, word.title())}
_WORDS |= {"TRUE": True, "YES": True, "ON": True, "FALSE": False, "NO": False, "OFF": False}
_WORDS |= {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf")}

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9_]{0,99})")
_OTHER_BASE = re.compile(r"0x[0-9a-fA-F]{1,64}|0o[0-7]{1,64}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")


@dataclass(frozen=True)
class Located:
    """A value of a YAML file, and where it stands.

    Args:
        value: A scalar, a list of values, or a mapping of texts to values.
        line: Its first line, counted from 1.
        text: A scalar as it is written, without quotes; None for others.
        key_lines: The line of each key of a mapping.
    """

    value: Scalar | list[Located] | dict[str, Located]
    line: int
    text: str | None = None
    key_lines: Mapping[str, int] = field(default_factory=dict)

    def plain(self) -> object:
        """The same without lines: scalars, lists and dicts."""
        if isinstance(self.value, dict):
            return {key: value.plain() for key, value in self.value.items()}
        if isinstance(self.value, list):
            return [value.plain() for value in self.value]
        return self.value

    def lines(self) -> dict[tuple[str | int, ...], int]:
        """The line of every key and value, by the keys and places on the way to it."""
        found: dict[tuple[str | int, ...], int] = {(): self.line}
        self._add_lines((), found)
        return found

    def _add_lines(
        self, way: tuple[str | int, ...], found: dict[tuple[str | int, ...], int]
    ) -> None:
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                found[(*way, key)] = self.key_lines[key]
                value._add_lines((*way, key), found)
        elif isinstance(self.value, list):
            for i, value in enumerate(self.value):
                found[(*way, i)] = value.line
                value._add_lines((*way, i), found)


def resolve(text: str) -> Scalar:
    """What a scalar without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if _OTHER_BASE.fullmatch(text):
        return int(text, base=0)
    if _NUMBER.fullmatch(text) and not _LEADING_ZERO.fullmatch(text):
        return float(text.replace("_", ""))
    return text

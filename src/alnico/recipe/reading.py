"""Values of a recipe, read one by one: what is not as it must be is noted, and reading goes on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from alnico.errors import RecipeError
from alnico.recipe.faults import Faults, shown
from alnico.recipe.located import Located
from alnico.registry import suggest

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)(i?)B", re.IGNORECASE)
MAX_SEED = 2**63


def read_keys(
    at: Located, known: Sequence[str], faults: Faults, *, what: str, kind: str = "key"
) -> dict[str, Located]:
    """The entries of a mapping that have known keys; others are faults.

    Args:
        at: Where the mapping must be.
        known: Its keys.
        faults: Where faults are noted.
        what: What messages call it.
        kind: What messages call its keys.
    """
    if not isinstance(at.value, dict):
        faults.add(at.line, f"{what} must be a mapping, got {shown(at.plain())}")
        return {}
    for key in at.value:
        if key not in known:
            hint = suggest(key, known, all_of_them=f"its {kind}s are")
            faults.add(at.key_lines[key], f"{what} has no {kind} {shown(key)}", hint)
    return {key: value for key, value in at.value.items() if key in known}


def read_text(at: Located | None, faults: Faults, *, what: str) -> str | None:
    """A text as it is written, `no` and `2024` included; None if it is none, which is a fault."""
    if at is None:
        return None
    if at.text is None or at.value is None or not at.text.strip():
        faults.add(at.line, f"{what} must be a text, got {shown(at.plain())}")
        return None
    return at.text


def read_choice(at: Located | None, choices: Sequence[str], faults: Faults, *, what: str) -> str:
    """One of a few texts; empty if there is none, or a fault."""
    text = read_text(at, faults, what=what)
    if at is None or text is None:
        return ""
    if text not in choices:
        hint = suggest(text, choices, all_of_them="it can be")
        faults.add(at.line, f"{what} cannot be {shown(text)}", hint)
        return ""
    return text


def read_seed(at: Located | None, faults: Faults) -> int:
    """A whole number from 0 on; 0 if there is none."""
    if at is None:
        return 0
    value = at.value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_SEED:
        faults.add(at.line, f"seed must be a whole number from 0 on, got {shown(at.plain())}")
        return 0
    return value


def read_size(at: Located | None, faults: Faults, *, what: str) -> int | None:
    """A number of bytes, or a text such as `5GB` (thousands) or `5GiB` (1,024s)."""
    if at is None:
        return None
    if isinstance(at.value, int) and not isinstance(at.value, bool) and at.value > 0:
        return at.value
    n_bytes = size_of(at.text or "")
    if n_bytes is None:
        faults.add(at.line, f"{what} must be a size, got {shown(at.plain())}", "write it as 5GB")
    return n_bytes


def size_of(text: str) -> int | None:
    """The bytes that a text such as `5GB` or `5GiB` means; None if it is no size, or 0."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    number, unit, is_binary = found.groups()
    step = 1024 if is_binary else 1000
    return int(float(number) * step ** " KMGT".index(unit.upper() or " ")) or None


@dataclass(frozen=True)
class Names:
    """The models that a part of a recipe may speak of.

    Args:
        models: Their names; None if they could not be read, so that no name can be judged.
        whose: What they are the models of.
    """

    models: tuple[str, ...] | None
    whose: str = "this recipe"

    def has(self, name: str, line: int, faults: Faults, *, what: str) -> bool:
        """Whether there is a model of this name; if not, that is a fault."""
        if self.models is None or name in self.models:
            return True
        hint = suggest(name, self.models, all_of_them="models are")
        faults.add(line, f"{what}: {shown(name)} is not a model of {self.whose}", hint)
        return False


def note(error: RecipeError, line: int, faults: Faults, *, what: str | None = None) -> None:
    """Turn an error into a fault in a line."""
    before = "" if what is None else f"{what}: "
    faults.add(line, before + error.message, error.help)

"""JSON from files that are not trusted: nothing ambiguous is accepted, every fault is one error."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAX_VALUES = 6_000_000
"""The most values that are read: each takes room that its text does not show."""


def parse(
    data: bytes | bytearray,
    *,
    infinite: bool = False,
    mapping: Callable[[dict[str, object]], object] = lambda found: found,
) -> object:
    """Parse JSON in UTF-8.

    Args:
        data: The text.
        infinite: Whether a number may be `Infinity`, as in configs that Python wrote.
        mapping: What to put in the place of each mapping, from the inside out.

    Raises:
        ValueError: If it is not sound: not UTF-8, not JSON, nested too deeply, of too many values,
            with NaN or Infinity, or with a name that occurs twice in one mapping.
    """

    def read_mapping(pairs: list[tuple[str, object]]) -> object:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name occurs twice in one mapping")
        return mapping(found)

    def read_constant(text: str) -> float:
        if text == "NaN" or not infinite:
            raise ValueError(f"{text} is no JSON")
        return float(text)

    if sum(data.count(mark) for mark in (b"[", b"{", b",")) > MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES} values")
    try:
        with _no_collection():
            return json.loads(
                data.decode("utf-8"),
                object_pairs_hook=read_mapping,
                parse_constant=read_constant,
            )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from looking for cycles, again and again, in what has none and only grows."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

"""JSON from files that are not trusted: nothing ambiguous is accepted, every fault is one error."""

from __future__ import annotations

import json


def parse(data: bytes) -> object:
    """Parse JSON in UTF-8.

    Raises:
        ValueError: If it is not sound: not UTF-8, not JSON, nested too deeply, with NaN or
            Infinity, or with a name that occurs twice in one mapping.
    """
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one mapping")
    return found


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")

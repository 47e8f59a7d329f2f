"""What configs say of tokens: how many there are, and the numbers of those that mean something."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from alnico.checkpoint.names import vocabulary_sizes

KeyPath: TypeAlias = tuple[str, ...]

_NUMBERS = re.compile(r".*_token_(id|ids|index)|(begin_)?suppress_tokens")


def new_sizes(config: Mapping[str, object], sizes: Mapping[int, int]) -> dict[KeyPath, object]:
    """The numbers of tokens in a config that are others.

    Args:
        config: A model's.
        sizes: The lengths of its tensors -> those of the result's.
    """
    found = vocabulary_sizes(config)
    return {path: sizes[n] for path, n in found.items() if sizes.get(n, n) != n}


def new_numbers(
    config: Mapping[str, object],
    moved: Mapping[int, int | None],
    owner: Mapping[str, object],
    *,
    way: KeyPath = (),
) -> dict[KeyPath, object]:
    """The tokens that a config means by numbers, such as `eos_token_id`, in another vocabulary.

    Args:
        config: That of the model whose vocabulary is left.
        moved: Number there -> number in the other vocabulary; None if it has no such token.
        owner: The config of the model that the other vocabulary is of, whose word comes first.
        way: The keys on the way to the config.
    """
    found: dict[KeyPath, object] = {}
    for key, value in config.items():
        there = owner.get(key)
        if isinstance(value, Mapping):
            inner = there if isinstance(there, Mapping) else {}
            found |= new_numbers(value, moved, inner, way=(*way, key))
        elif _NUMBERS.fullmatch(key) and _has_numbers(value):
            new = there if _has_numbers(there) else _moved(value, moved)
            if new != value:
                found[(*way, key)] = new
    return found


def _moved(value: object, moved: Mapping[int, int | None]) -> object:
    if isinstance(value, list):
        new = [moved.get(number, number) for number in value]
        return [number for number in new if number is not None]
    return moved.get(value, value) if isinstance(value, int) else value


def _has_numbers(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(type(each) is int for each in values)

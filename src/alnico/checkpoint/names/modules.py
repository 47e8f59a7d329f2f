"""Modules of a model: the parts that have a name and stacks of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TypeAlias

_Path: TypeAlias = tuple[str, ...]


def find_modules(names: Iterable[str], stacks: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Module -> its tensors, in their order; every tensor is in one module.

    Args:
        names: All tensors.
        stacks: The prefixes of the stacks of layers, each with its last dot.
    """
    split = _split({_to_number(prefix) for prefix in stacks})
    found: dict[str, list[str]] = {}
    for name in names:
        parts = tuple(name.split("."))
        length = next((n for n in range(len(parts)) if parts[:n] not in split), len(parts))
        found.setdefault(".".join(parts[:length]), []).append(name)
    return {module: tuple(tensors) for module, tensors in found.items()}


def _split(stacks: set[_Path]) -> set[_Path]:
    """Paths that are no modules, because parts of them are."""
    split: set[_Path] = {()}
    asked = list(_by_beginning(stacks, 1).values())
    while asked:
        inside = asked.pop()
        n_shared = _n_shared(inside)
        parts = _by_beginning(inside, n_shared + 1)
        if len(parts) > 1 and not parts.keys() & stacks:  # stacks side by side are of one module
            split.update(inside[0][:length] for length in range(1, n_shared + 1))
            asked.extend(parts.values())
    return split


def _by_beginning(paths: Iterable[_Path], length: int) -> dict[_Path, list[_Path]]:
    found: dict[_Path, list[_Path]] = {}
    for path in paths:
        found.setdefault(path[:length], []).append(path)
    return found


def _n_shared(paths: Sequence[_Path]) -> int:
    """How many parts all of them begin with."""
    columns = zip(*paths, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _to_number(prefix: str) -> _Path:
    """The part of a prefix before its first number: all stages of a network are one."""
    parts = prefix.split(".")[:-1]
    length = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts))
    return tuple(parts[:length])

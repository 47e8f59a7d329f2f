"""The effective ranks of changes: of which matrices, what that takes, and where they are noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from alnico.checkpoint.header import FLOATS
from alnico.merging.difference import Difference, Row
from alnico.merging.effective_rank import effective_rank, operations
from alnico.merging.readable import Readable, widen
from alnico.merging.sums import Change
from alnico.progress import Phase, note, phase

SMALL_SIDE = 256
"""The effective rank of a matrix is found in any case if its smaller side is no longer."""

_RATE = 1e10
"""Multiplications that a core does in a second, at least."""

_SAID = 10
"""Seconds from which on it is said beforehand how long it takes."""


def add_ranks(found: Difference, models: Sequence[Readable], *, everything: bool) -> Difference:
    """Add the effective ranks of changes: from the base to each model, or between the models.

    Args:
        found: The difference of the models, without ranks.
        models: The two, and the base if there is one.
        everything: Whether large matrices are taken, too.
    """
    unbased = set(found.unbased)
    matrices = [
        row for row in found.rows if row.name not in unbased and _is_changed_matrix(row, models)
    ]
    large = [row for row in matrices if min(*_shape(row)) > SMALL_SIDE]
    unranked = () if everything else tuple(row.name for row in large)
    chosen = [row for row in matrices if row.name not in set(unranked)]
    _tell_time([row for row in large if everything], n_changes=max(1, len(models) - 1))
    with phase("rank", f"of {len(chosen)} changed matrices", total=len(chosen)) as work:
        ranked = {row.name: _rank(row, models, work) for row in chosen}
    rows = tuple(ranked.get(row.name, row) for row in found.rows)
    return replace(found, rows=rows, unranked=unranked)


def _is_changed_matrix(row: Row, models: Sequence[Readable]) -> bool:
    changes = (row.sums.change, *row.sums.from_base)
    is_matrix = len(row.tensors[row.name]) == 2 and any(change.n_changed for change in changes)
    return is_matrix and all(model.forms[row.name].dtype in FLOATS for model in models)


def _shape(row: Row) -> tuple[int, int]:
    n_rows, n_columns = row.tensors[row.name]
    return n_rows, n_columns


def _tell_time(large: Sequence[Row], *, n_changes: int) -> None:
    seconds = n_changes * sum(operations(*_shape(row)) for row in large) / _RATE
    if seconds > _SAID:
        time = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        note("rank", f"of {len(large)} large matrices takes about {time} on one core")


def _rank(row: Row, models: Sequence[Readable], work: Phase) -> Row:
    first, second, *bases = models
    if bases:
        (base,) = bases
        a, b = row.sums.from_base
        both = _ranked(a, row, base, first), _ranked(b, row, base, second)
        sums = replace(row.sums, from_base=both)
    else:
        sums = replace(row.sums, change=_ranked(row.sums.change, row, first, second))
    work.advance()
    return replace(row, sums=sums)


def _ranked(change: Change, row: Row, here: Readable, there: Readable) -> Change:
    """A change with its rank, if it has one."""
    found = (
        effective_rank(_delta(row.name, here, there), *_shape(row)) if change.n_changed else None
    )
    return change if found is None else replace(change, ranks=(found,))


def _delta(name: str, here: Readable, there: Readable) -> Callable[[int, int], np.ndarray]:
    before, after = here.find(name), there.find(name)
    old, new = here.forms[name].dtype, there.forms[name].dtype

    def read(start: int, stop: int) -> np.ndarray:
        change: np.ndarray = widen(after(start, stop), new) - widen(before(start, stop), old)
        return change

    return read

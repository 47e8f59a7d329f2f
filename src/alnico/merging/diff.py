"""`diff`: how far two models are apart, and from their base; read block by block."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from alnico.errors import RecipeError
from alnico.merging.blocks import Workers, working
from alnico.merging.difference import Difference, Row
from alnico.merging.ranks import add_ranks
from alnico.merging.readable import Model, Readable, readable
from alnico.merging.sums import Agreement, Sums, measure, total
from alnico.progress import phase, spaced

_BLOCK = 1 << 17
"""Entries that are read at a time."""

_PIECE = 1 << 13
"""Those that are compared at a time: their doubles, a dozen times, fit a core's cache."""


def diff(
    a: Model, b: Model, *, base: Model | None = None, rank: bool = False, threads: int = 0
) -> Difference:
    """Say how far two models are apart, tensor by tensor and layer by layer.

    Of each tensor that both have: the L2 norm of the change from the first to the second over that
    of the first, the share of values whose bits changed, the largest change, and, of the changes
    from the base, their cosine and the share of equal signs; without a base those of the values.
    With a base, the same of the change from the base to each. Of matrices also the effective rank
    of the change. Integers have a share alone. What only one model has, and where shapes or dtypes
    differ, is part of the answer.

    Args:
        a: A path, which may be a name on the hub; a state dict; or a module. Files are read block
            by block, in little memory.
        b: Another, in any of these forms.
        base: The model that both came from.
        rank: Whether the effective rank is found of large matrices, too: some seconds for each,
            and the memory of a few squares of its smaller side. Up to 256 on that side it always
            is.
        threads: How many; 0 takes one for each core. They change no bit of the answer.

    Returns:
        The measures, and their table as text.

    Raises:
        DataError: If there is no such model, or it changes while it is read.
        UnsafeFileError: If reading a file could do harm, or it is not as its format says.
        RecipeError: If something is no model.

    Example:
        >>> import alnico
        >>> from torch import nn
        >>> alnico.diff(nn.Linear(4, 2), nn.Linear(4, 2)).fits
        True
    """
    if threads < 0:
        raise RecipeError(
            f"threads must be 0 or more, got {threads}", help="0 is one for each core"
        )
    with ExitStack() as stack:
        given = [(a, "a"), (b, "b"), *([] if base is None else [(base, "base")])]
        with phase("read", "headers") as work:
            models = [stack.enter_context(readable(model, label)) for model, label in given]
            work.say(f"{len(models[0].forms)} and {len(models[1].forms)} tensors")
        found = _match(models)
        with working(threads or os.cpu_count() or 1) as workers:
            found = replace(found, rows=_compare(found, models, workers))
        found = add_ranks(found, models, everything=rank)
        for model in models:
            model.check_unchanged()
    return found


def _match(models: Sequence[Readable]) -> Difference:
    """What follows from headers alone; its rows have no sums yet."""
    a, b, *bases = models
    both = [name for name in a.forms if name in b.forms]
    alike = [name for name in both if a.forms[name].shape == b.forms[name].shape]
    rows = tuple(Row(name, {name: a.forms[name].shape}, Sums()) for name in alike)
    return Difference(
        a.label,
        b.label,
        bases[0].label if bases else None,
        rows,
        only_a=tuple(name for name in a.forms if name not in b.forms),
        only_b=tuple(name for name in b.forms if name not in a.forms),
        shapes={
            name: (a.forms[name].shape, b.forms[name].shape)
            for name in both
            if a.forms[name].shape != b.forms[name].shape
        },
        dtypes={
            name: (a.forms[name].dtype_name, b.forms[name].dtype_name)
            for name in alike
            if a.forms[name].dtype != b.forms[name].dtype
        },
        unbased=tuple(name for name in alike if bases and not _has(bases[0], a, name)),
    )


def _has(base: Readable, model: Readable, name: str) -> bool:
    return name in base.forms and base.forms[name].shape == model.forms[name].shape


def _compare(found: Difference, models: Sequence[Readable], workers: Workers) -> tuple[Row, ...]:
    said = f"{spaced(len(found.rows))} tensors"
    rows, unbased = [], set(found.unbased)
    with phase("compare", said, total=len(found.rows)) as work:
        for row in found.rows:
            if row.name in unbased:  # that of values would stand among those of changes
                sums = _compare_tensor(row.name, models[:2], workers)
                sums = replace(sums, agreement=Agreement())
            else:
                sums = _compare_tensor(row.name, models, workers)
            rows.append(replace(row, sums=sums))
            work.advance()
    return tuple(rows)


def _compare_tensor(name: str, models: Sequence[Readable], workers: Workers) -> Sums:
    reads = [model.find(name) for model in models]
    dtypes = [model.forms[name].dtype for model in models]
    n = models[0].forms[name].n_entries

    def one(start: int) -> Sums:
        stop = min(start + _BLOCK, n)
        stored = [read(start, stop) for read in reads]
        pieces = range(0, stop - start, _PIECE)
        return total(measure([x[at : at + _PIECE] for x in stored], dtypes) for at in pieces)

    return total(workers.map(one, range(0, n, _BLOCK)))

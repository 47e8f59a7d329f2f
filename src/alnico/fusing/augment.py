"""New rows from old ones, without a model of their distribution: cells change places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from alnico.data.batches import n_rows
from alnico.errors import DataError, RecipeError
from alnico.types import Batch

ColumnIds: TypeAlias = Mapping[str, Tensor]


def swap_cells(
    batch: Batch,
    *,
    share: float,
    generator: torch.Generator,
    columns: ColumnIds | None = None,
) -> Batch:
    """Give each cell, with probability `share`, the value of its column in another row.

    Every column keeps its distribution, and rows stay near where rows are: swap noise (the simplest
    of the ways in Bucila, Caruana, Niculescu-Mizil 2006 and in Fakoor et al. 2020).

    One column may lie in several tensors of a batch in different encodings: entries of equal ids
    then come from the same other row. Tensors without ids move together, as one more column: the
    parts of a text, or an image.

    Args:
        batch: The rows.
        share: Probability of a swap, in [0, 1].
        generator: Of random numbers, on the CPU.
        columns: Of a mapping: by key, the id of each column of [n, d, ...], int64 [d]; keys that
            are not named have none. None names the columns of every float tensor [n, d] of a
            mapping one by one, and those of a batch that is one tensor [n, d] of any type.

    Raises:
        RecipeError: If `share` is out of range, or the ids are not those of the batch.
    """
    if not 0 <= share <= 1:
        raise RecipeError(f"share must lie in [0, 1], got {share}", help="20 % is 0.2")
    named = batch if isinstance(batch, Mapping) else {"": batch}
    ids = column_ids(batch) if columns is None else columns
    _check(named, ids)
    known = torch.cat([torch.empty(0, dtype=torch.int64), *ids.values()]).unique()
    # the last of them is that of whatever has no ids
    sources = _sources(n_rows(batch), len(known) + 1, share, generator)
    swapped = {}
    for name, tensor in named.items():
        where = torch.searchsorted(known, ids[name]) if name in ids else None
        rows = sources[:, -1] if where is None else sources[:, where]
        swapped[name] = _take(tensor, rows.to(tensor.device))
    return swapped if isinstance(batch, Mapping) else swapped[""]


def column_ids(batch: Batch) -> dict[str, Tensor]:
    """The ids that are taken if none are given: each column of a table has its own."""
    if isinstance(batch, Tensor):
        return {"": torch.arange(batch.shape[1])} if batch.dim() == 2 else {}
    found, start = {}, 0
    for name, tensor in batch.items():
        if tensor.dim() == 2 and tensor.is_floating_point():
            found[name] = torch.arange(start, start + tensor.shape[1])
            start += tensor.shape[1]
    return found


def _check(batch: Mapping[str, Tensor], ids: ColumnIds) -> None:
    for name, own in ids.items():
        if name not in batch:
            raise RecipeError(f"columns names {name!r}, which the batch has not")
        shape = batch[name].shape
        if len(shape) < 2 or own.shape != shape[1:2]:
            raise RecipeError(
                f"columns: {name!r} has {list(own.shape)} ids for {list(shape)}",
                help="give one id for each column, the second axis",
            )


def _sources(n: int, n_columns: int, share: float, generator: torch.Generator) -> Tensor:
    """The row that each cell comes from: its own, or any other alike. -> [n, columns]"""
    if n == 0:
        raise DataError("there are no rows to swap cells between")
    own = torch.arange(n)[:, None].expand(n, n_columns)
    other = (own + torch.randint(1, max(2, n), (n, n_columns), generator=generator)) % n
    return torch.where(torch.rand(n, n_columns, generator=generator) < share, other, own)


def _take(tensor: Tensor, rows: Tensor) -> Tensor:
    """Entries from rows of their own, [n, d]; or whole ones, [n]."""
    if rows.dim() == 1:
        return tensor.index_select(0, rows)
    index = rows.reshape(*rows.shape, *[1] * (tensor.dim() - 2)).expand(tensor.shape)
    return tensor.gather(0, index)

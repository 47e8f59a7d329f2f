"""Soft targets: what a teacher says of rows, and of augmented copies of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alnico.data.batches import Rows, concatenate
from alnico.fusing.augment import ColumnIds, column_ids, swap_cells
from alnico.fusing.given import said

SHARE = 0.2
"""Probability that a cell of an augmented row comes from another row."""

_LENGTH = "length of the sequence"


def soften(
    teacher: nn.Module,
    rows: Rows,
    *,
    copies: int,
    columns: ColumnIds | None = None,
    share: float = SHARE,
    seed: int,
) -> Rows:
    """Rows and augmented copies of them, with what a teacher says as their target. -> [n', c]

    Args:
        teacher: A network whose outputs are [n, c].
        rows: The rows; their target is not read.
        copies: Augmented copies of each row; none are made if the inputs are one column alone, an
            image or a text, for which a swap would give rows that are there already.
        columns: As in `swap_cells`; sequence lengths go with the tensors that have no ids.
        share: Probability of a swap.
        seed: Of the swaps.

    Raises:
        IncompatibleModelsError: If the teacher says anything but finite numbers [n, c].
    """
    parts = [rows]
    if _has_cells(rows, columns):
        random = torch.Generator().manual_seed(seed)
        parts += [_swapped(rows, columns, share, random) for _ in range(copies)]
    whole = concatenate(parts)
    return Rows(whole.inputs, said("the teacher", teacher, whole.inputs).logits, whole.length)


def _has_cells(rows: Rows, columns: ColumnIds | None) -> bool:
    if isinstance(rows.inputs, Tensor) and rows.length is not None:
        return False  # a sequence: its entries are no columns
    return bool(column_ids(rows.inputs) if columns is None else columns)


def _swapped(rows: Rows, columns: ColumnIds | None, share: float, random: torch.Generator) -> Rows:
    if rows.length is None or isinstance(rows.inputs, Tensor):
        inputs = swap_cells(rows.inputs, share=share, generator=random, columns=columns)
        return Rows(inputs, rows.target)
    named = {**rows.inputs, _LENGTH: rows.length}
    swapped = swap_cells(named, share=share, generator=random, columns=columns)
    assert not isinstance(swapped, Tensor)
    inputs = {name: swapped[name] for name in rows.inputs}
    return Rows(inputs, rows.target, swapped[_LENGTH])

"""Shrink: prune a network, then let it recover by saying again what it said before."""

from __future__ import annotations

import torch
from torch import nn

from alnico.data.batches import take
from alnico.fusing.augment import ColumnIds
from alnico.fusing.distill import distill
from alnico.fusing.given import Labelled, read_rows
from alnico.pruning import prune
from alnico.training import Setting
from alnico.types import Batch, Task

SETTING = Setting("adamw", 1e-3)
"""How a pruned network recovers if nothing else is said."""

_MEASURED = 2_048  # rows that units are ranked on


def shrink(
    model: nn.Module,
    *,
    keep: float,
    data: Batch | Labelled,
    valid: Batch | Labelled | None = None,
    task: Task | None = None,
    copies: int = 1,
    columns: ColumnIds | None = None,
    setting: Setting = SETTING,
    epochs: int = 5,
    patience: int | None = None,
    batch_size: int = 256,
    seed: int = 0,
    deadline: float | None = None,
) -> nn.Module:
    """Prune whole hidden units of a network, and distil the network into what is left of it.

    Args:
        model: A network whose outputs are [n, c]; it stays as it is.
        keep: Share of the units of each layer that stay, in (0, 1].
        data: As in `distill`; units are ranked on some of its rows.
        valid: As in `distill`, as all that follow.
        task: What is predicted.
        copies: Augmented copies of each row.
        columns: Which entries of named inputs are one column.
        setting: How it recovers.
        epochs: Passes over rows and copies.
        patience: Stop after so many epochs without a better loss on `valid`.
        batch_size: Rows of a batch.
        seed: Of the copies, and of the rows that units are ranked on.
        deadline: A value of `time.monotonic` after which no step is taken.

    Returns:
        The smaller network, in evaluation mode.

    Raises:
        RecipeError: As in `prune` and `distill`.
        IncompatibleModelsError: As in `prune` and `distill`.
        DataError: As in `prune` and `distill`.
    """
    rows, is_labelled = read_rows(data)
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:_MEASURED]
    smaller = prune(model, keep=keep, example=take(rows.inputs, chosen.to(rows.target.device)))
    return distill(
        model,
        smaller,
        data=rows if is_labelled else rows.inputs,
        valid=valid,
        task=task,
        copies=copies,
        columns=columns,
        setting=setting,
        epochs=epochs,
        patience=patience,
        batch_size=batch_size,
        seed=seed,
        deadline=deadline,
    )

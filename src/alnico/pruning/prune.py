"""Make a network smaller by removing whole hidden units; what they gave on average stays."""

from __future__ import annotations

import copy

from torch import nn

from alnico.data.batches import map_batch, n_rows
from alnico.errors import DataError, IncompatibleModelsError, RecipeError
from alnico.pruning.chains import find_chains
from alnico.pruning.cut import apply_, holds, make_cut
from alnico.pruning.measure import measure
from alnico.types import Batch

_FEW = 64  # rows that the layers are followed and a cut is tried on


def prune(model: nn.Module, *, keep: float = 0.5, example: Batch) -> nn.Module:
    """Remove the hidden units that matter least; the model itself stays as it is.

    A unit is removed with the weights that go out of it, if it lies between two layers (linear,
    convolution, embedding) with nothing but activations, dropout, batch norm, pooling and
    flattening between them, and is used nowhere else. Units are ranked within their layer by the
    variance of what they give over the example's rows times the squared norm of the weights it goes
    out by, and the mean of what a removed unit gave goes into the bias behind it: FLAP (An, Zhao,
    Yu, Tang, Wang 2024, eq. 5 and 6). A layer without bias gets one.

    Args:
        model: A network whose output is [n, c], in evaluation mode when it is looked at.
        keep: Share of the units of each layer that stay, in (0, 1]; at least one stays.
        example: Inputs of at least two rows, better of some hundreds; only layers that they go
            through are looked at.

    Returns:
        A smaller network of the same class, with the same names of layers.

    Raises:
        RecipeError: If `keep` is out of range.
        DataError: If the example has fewer than two rows, or what the model says of it is not
            finite.
        IncompatibleModelsError: If there are no whole units that can be removed.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
        >>> prune(model, keep=0.25, example=torch.randn(100, 8))[0].out_features
        8
    """
    _check(keep, example)
    still = copy.deepcopy(model).eval()
    few = map_batch(lambda tensor: tensor[:_FEW], example)
    chains = find_chains(still, few)
    columns = measure(still, [name for chain in chains for name in chain.consumers], example)
    cuts = [make_cut(still, chain, columns, keep=keep) for chain in chains]
    kept = [cut for cut in cuts if holds(still, cut, few)]
    if not kept:
        raise IncompatibleModelsError(
            f"no whole hidden units can be removed from this {type(model).__name__}",
            help="units can be removed between two layers (Linear, Conv1d, Conv2d, Embedding) with "
            "nothing but activations, dropout, batch norm or pooling between them, that are called "
            "once and share no weights",
        )
    pruned = copy.deepcopy(model)
    for cut in kept:
        apply_(pruned, cut)
    return pruned


def n_parameters(module: nn.Module) -> int:
    """How many learned numbers a network has; shared ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _check(keep: float, example: Batch) -> None:
    if not 0 < keep <= 1:
        raise RecipeError(f"prune: keep must lie in (0, 1], got {keep}", help="20 % is 0.2")
    if n_rows(example) < 2:
        raise DataError(
            f"prune: the example has {n_rows(example)} rows, and a variance needs at least 2",
            help="give inputs of some hundreds of rows",
        )

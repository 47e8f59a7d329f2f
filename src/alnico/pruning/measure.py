"""How much what goes into a layer varies over rows, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from alnico.errors import DataError
from alnico.probing import read_outputs
from alnico.pruning.layers import Weighted, column_axis, weighted
from alnico.types import Batch


@dataclass(frozen=True)
class Columns:
    """What goes into a layer: mean and variance of each column over rows and places. [columns]"""

    mean: Tensor
    variance: Tensor


def measure(module: nn.Module, names: Sequence[str], example: Batch) -> dict[str, Columns]:
    """Run a module over all rows and measure what goes into some of its layers.

    Args:
        module: Any network whose output is [n, c].
        names: Layers with weights, each of which is called in every run.
        example: The rows.

    Raises:
        DataError: If what the module says is not finite.
    """
    sums = {name: _Sums() for name in names}
    layers = {name: weighted(module, name) for name in names}
    handles = [
        layers[name].register_forward_pre_hook(partial(_count, sums[name])) for name in names
    ]
    try:
        said = read_outputs(module, example).logits
    finally:
        for handle in handles:
            handle.remove()
    if not said.isfinite().all():
        raise DataError(
            f"what {type(module).__name__} says of the example is not finite",
            help="look for missing values in the rows",
        )
    return {name: found.columns() for name, found in sums.items()}


class _Sums:
    """Sums over rows and places, in float64, so that the order of batches does not matter."""

    def __init__(self) -> None:
        self.n = 0
        self.total: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def columns(self) -> Columns:
        mean = torch.as_tensor(self.total) / self.n
        variance = torch.as_tensor(self.squares) / self.n - mean.square()
        return Columns(mean, variance.clamp(min=0))


def _count(sums: _Sums, layer: Weighted, given: tuple[Tensor, ...]) -> None:
    columns = given[0].detach().movedim(column_axis(layer), -1).flatten(0, -2).double()
    sums.n += len(columns)
    sums.total = sums.total + columns.sum(0)
    sums.squares = sums.squares + columns.square().sum(0)

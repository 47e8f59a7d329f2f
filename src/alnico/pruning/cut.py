"""One cut: which units of a chain stay, what it does to the layers, and whether it is right."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from alnico.pruning.chains import Chain
from alnico.pruning.layers import (
    EMBEDDED,
    NORMS,
    WEIGHTED,
    Weighted,
    column_axis,
    keep_columns_,
    keep_units_,
    n_units,
    weight_by_column,
    weighted,
)
from alnico.pruning.measure import Columns
from alnico.types import Batch


@dataclass(frozen=True)
class Reading:
    """What a cut does to one consumer.

    Args:
        stay: The input columns that stay.
        go: The others.
        offset: The mean of what the others gave. [out]
    """

    stay: Tensor
    go: Tensor
    offset: Tensor


@dataclass(frozen=True)
class Cut:
    """A chain, and what stays of it.

    Args:
        chain: The chain.
        units: The units that stay, rising.
        readings: What it does to each consumer.
    """

    chain: Chain
    units: Tensor
    readings: Mapping[str, Reading]


def make_cut(
    module: nn.Module, chain: Chain, columns: Mapping[str, Columns], *, keep: float
) -> Cut:
    """Rank the units of a chain and choose those that stay.

    Args:
        module: The module that has the chain.
        chain: The chain.
        columns: What was measured of each consumer.
        keep: Share of units that stay; at least one does.
    """
    producer = module.get_submodule(chain.producer)
    assert isinstance(producer, WEIGHTED + EMBEDDED)
    n = n_units(producer)
    scores = torch.zeros(n, dtype=torch.float64)
    for name in chain.consumers:
        norms = weight_by_column(weighted(module, name)).double().square().sum((1, 2))
        # a unit of an image that was laid flat has a block of columns
        scores += (columns[name].variance * norms).view(n, -1).sum(1).cpu()
    units = scores.argsort(descending=True, stable=True)[: max(1, round(keep * n))].sort().values
    stays = torch.zeros(n, dtype=torch.bool)
    stays[units] = True
    readings = {
        name: _reading(weighted(module, name), stays, columns[name]) for name in chain.consumers
    }
    return Cut(chain, units, readings)


def _reading(layer: Weighted, stays: Tensor, columns: Columns) -> Reading:
    weight = weight_by_column(layer).double()
    by_column = stays.repeat_interleave(len(weight) // len(stays)).to(weight.device)
    stay, go = by_column.nonzero().flatten(), (~by_column).nonzero().flatten()
    return Reading(stay, go, columns.mean[go] @ weight[go].sum(2))


def apply_(module: nn.Module, cut: Cut) -> None:
    """Remove the units from a module of the shapes that the cut was made for."""
    producer = module.get_submodule(cut.chain.producer)
    assert isinstance(producer, WEIGHTED + EMBEDDED)
    keep_units_(producer, cut.units)
    for name in cut.chain.norms:
        norm = module.get_submodule(name)
        assert isinstance(norm, NORMS)
        keep_units_(norm, cut.units)
    for name, reading in cut.readings.items():
        keep_columns_(weighted(module, name), reading.stay, reading.offset)


@torch.no_grad()
def holds(module: nn.Module, cut: Cut, example: Batch) -> bool:
    """Whether the cut module says what the whole one does with its units at their means.

    So a chain that was seen wrongly is never cut. What surrounds an image at its border counts as
    a mean, too.

    Args:
        module: The module in evaluation mode.
        cut: A cut of it.
        example: A few rows.
    """
    smaller = copy.deepcopy(module)
    apply_(smaller, cut)
    try:
        found = smaller(example)
    except Exception:  # code that cannot do without the units fails in any way it likes
        return False
    expected = _with_means(module, cut, example)
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    worst = (found - expected).abs().max()
    return bool(worst <= torch.finfo(found.dtype).eps ** 0.5 * expected.abs().max())


def _with_means(module: nn.Module, cut: Cut, example: Batch) -> Tensor:
    """What the whole module says if its consumers get the offset for the columns that go."""
    handles = []
    for name, reading in cut.readings.items():
        layer = weighted(module, name)
        handles.append(layer.register_forward_pre_hook(partial(_silence, reading)))
        handles.append(layer.register_forward_hook(partial(_add_offset, reading)))
    try:
        out: Tensor = module(example)
    finally:
        for handle in handles:
            handle.remove()
    return out


def _silence(reading: Reading, layer: Weighted, given: tuple[Tensor, ...]) -> Tensor:
    return given[0].index_fill(column_axis(layer), reading.go, 0.0)


def _add_offset(reading: Reading, layer: Weighted, given: object, output: Tensor) -> Tensor:
    axis = column_axis(layer)
    return (output.movedim(axis, -1) + reading.offset.to(output)).movedim(-1, axis)

"""Fuse wide, prune back: the best concatenation, cut to at most the size of its largest member."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from alnico.data.batches import take
from alnico.errors import IncompatibleModelsError
from alnico.fitting.kinds._bench import Bench, describe, kind
from alnico.fitting.kinds.joined import crossfit_structure, relearning
from alnico.fitting.members import Net, outputs_of, reading
from alnico.fitting.rows import Row
from alnico.fusing import distill
from alnico.pruning import n_parameters, prune
from alnico.structures import Parts
from alnico.training import Setting
from alnico.types import Batch

EXAMPLE_ROWS = 1_024
"""Training rows that a unit's importance is read from."""

EPOCHS = 2
"""Of the recovery: each pruned member learns to say again what it said before."""

RATE = 1e-3
_FEW_ROWS = 32  # are enough to know how small a network becomes
_HALVINGS = 7  # so finely is the share that is kept searched
_LEAST = 1 / 16  # of the units of a layer; members are given up before less is left of them


@kind("pruned")
def pruned(bench: Bench) -> Iterator[Row]:
    """Remove whole hidden units of a concatenation's members, let them recover, join them anew.

    No label is used until the new head is learned, which is cross-fitted as every head is: which
    units go follows from the activations on training rows, and the recovery's targets are what the
    unpruned member says.
    """
    wide = bench.best("concat")
    if wide is None or len(wide.nets) < 2:
        return
    began = time.monotonic()
    budget = max(n_parameters(net.module) for net in wide.nets)
    small = fit_into(wide.nets, budget, bench)
    if not small:
        return
    nets = [_recovered(before, after, bench) for before, after in small]
    names = [wide.names[wide.nets.index(before)] for before, _ in small]
    parts = Parts.of([outputs_of(net, bench.valid, bench.inputs) for net in nets])
    fitted = crossfit_structure(bench, "concat", parts)
    learned = fitted.fit.learned
    chosen = [nets[i] for i in learned.members]
    yield Row(
        "pruned",
        f"concat of {describe(chosen)}",
        tuple(chosen),
        learned.structure.eval(),
        fitted.outputs,
        wide.seconds + time.monotonic() - began,
        names=tuple(names[i] for i in learned.members),
        relearn=relearning(bench, learned, parts),
    )


def fit_into(nets: Sequence[Net], budget: int, bench: Bench) -> list[tuple[Net, nn.Module]]:
    """Prune networks by one share of their units, the largest that fits; as pairs with the pruned.

    If pruning every layer as far as is sensible leaves too much, the network goes that stays the
    largest: one of few units that can be removed. At least two are left, or none.

    Args:
        nets: The networks.
        budget: Parameters that all of them and a head over their features may have together.
        bench: For example rows and the number of outputs.
    """
    some = list(nets)
    while len(some) > 1:
        least = _pruned(some, _LEAST, bench, n_rows=_FEW_ROWS)
        if _size(least, bench) <= budget:
            modules = _pruned(some, _share(some, budget, bench), bench, n_rows=EXAMPLE_ROWS)
            if _size(modules, bench) <= budget:
                return list(zip(some, modules, strict=True))
        del some[max(range(len(some)), key=lambda i: (n_parameters(least[i]), i))]
    return []


def _share(nets: Sequence[Net], budget: int, bench: Bench) -> float:
    """The largest share of units that fits, found by halving an interval."""
    low, high = _LEAST, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _size(_pruned(nets, middle, bench, n_rows=_FEW_ROWS), bench) <= budget:
            low = middle
        else:
            high = middle
    return low


def _pruned(nets: Sequence[Net], keep: float, bench: Bench, *, n_rows: int) -> list[nn.Module]:
    return [_narrowed(net, keep, _example(net, bench, n_rows)) for net in nets]


def _narrowed(net: Net, keep: float, example: Batch) -> nn.Module:
    try:
        return prune(net.module, keep=keep, example=example)
    except IncompatibleModelsError:  # it has no hidden units that stand by themselves: it stays
        return net.module


def _size(modules: Sequence[nn.Module], bench: Bench) -> int:
    """Parameters of the members, and of the head over their features."""
    heads = [layer for module in modules for layer in _last_linear(module)]
    width = sum(layer.in_features for layer in heads)
    return sum(map(n_parameters, modules)) + bench.task.n_outputs * (width + 1)


def _last_linear(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1:]


def _example(net: Net, bench: Bench, n_rows: int) -> Batch:
    rows = reading(bench.train, net.architecture, bench.inputs)
    random = torch.Generator().manual_seed(bench.seed)
    return take(rows.inputs, torch.randperm(len(rows), generator=random)[:n_rows])


def _recovered(before: Net, after: nn.Module, bench: Bench) -> Net:
    if after is before.module:
        return before
    module = distill(
        before.module,
        after,
        data=reading(bench.train, before.architecture, bench.inputs),
        task=bench.task,
        copies=0,
        setting=Setting("adamw", RATE, seed=bench.seed),
        epochs=EPOCHS,
        batch_size=256,
        deadline=bench.deadline,
    )
    return Net(before.architecture, module)

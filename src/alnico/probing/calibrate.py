"""Re-estimate from data what batch norm layers remember: their running mean and variance."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from alnico.data.batches import map_batch
from alnico.errors import DataError, IncompatibleModelsError, RecipeError
from alnico.progress import note, phase, warn
from alnico.types import Batch

Batches: TypeAlias = "Iterable[Batch | Sequence[object]]"
"""Inputs batch by batch, alone or with their target behind them, which is not looked at."""


def calibrate(model: nn.Module, batches: Batches, *, momentum: float | None = None) -> nn.Module:
    """Measure the statistics of batch norm layers anew; the model itself stays as it is.

    The mean of two networks' weights gives other activations than either network has, and their
    variance is mostly too small, so that the mean of the running statistics fits neither. One pass
    over data puts them right (Izmailov et al. 2018; Jordan et al. 2023). Layers other than batch
    norm are in evaluation mode meanwhile, as they are when the statistics are used.

    Args:
        model: A network, as a rule a merged one; it is called as `model(inputs)`.
        batches: Inputs of some hundred rows or more in all: a loader or a list of tensors, of
            mappings, or of pairs whose second part is a target.
        momentum: The weight of the newest batch, in (0, 1]. None gives all batches the same.

    Returns:
        A network of the same class, on the same device, its layers in the modes they were in.

    Raises:
        RecipeError: If `momentum` is out of range.
        DataError: If there are no batches, or they are not as said; if a batch is too small to have
            a variance, or makes a statistic that is not finite.
        IncompatibleModelsError: If no batch norm layer runs on the batches.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
        >>> batch = torch.randn(64, 3) + 5
        >>> bool((calibrate(model, [batch])[0].running_mean > 4).all())
        True
    """
    _check(batches, momentum)
    new = copy.deepcopy(model)
    norms = _norms(new)
    if not norms:
        note("calibrate", f"nothing to do: {type(model).__name__} has no batch norm statistics")
        return new
    training = {part: part.training for part in new.modules()}
    momenta = {norm: norm.momentum for norm in norms.values()}
    new.eval()
    for norm in norms.values():
        norm.reset_running_stats()
        norm.momentum = momentum
        norm.train()
    n_batches = _run(new, batches)
    for part, mode in training.items():
        part.training = mode
    for norm, before in momenta.items():
        norm.momentum = before
    _finish(norms, _norms(model), n_batches)
    return new


def _check(batches: object, momentum: float | None) -> None:
    if momentum is not None and not 0 < momentum <= 1:
        raise RecipeError(
            f"calibrate: momentum must lie in (0, 1], got {momentum}", help="20 % is 0.2"
        )
    if isinstance(batches, Tensor | Mapping | tuple):
        raise DataError(
            f"calibrate: batches must be a loader or a list of batches, got a {_form(batches)}",
            help="give [inputs] for a single batch",
        )


def _norms(module: nn.Module) -> dict[str, _BatchNorm]:
    """The layers that keep running statistics, by name."""
    return {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, _BatchNorm) and part.running_mean is not None
    }


@torch.no_grad()
def _run(module: nn.Module, batches: Batches) -> int:
    """Let all batches go through a module and count them."""
    place = next((t.device for t in (*module.parameters(), *module.buffers())), None)
    n_batches = 0
    with phase("calibrate", "batch norm statistics") as work:
        for batch in batches:
            inputs = _inputs(batch, n_batches)
            try:
                module(map_batch(lambda tensor: tensor.to(place), inputs))
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise DataError(
                    f"calibrate: batch {n_batches} is too small to have a variance: {error}",
                    help="give larger batches, and leave out a last one of a single row",
                ) from error
            n_batches += 1
            work.advance()
        work.say(f"batch norm statistics from {n_batches} batch" + "es" * (n_batches != 1))
    return n_batches


def _inputs(batch: object, number: int) -> Batch:
    """What a network is fed with from a batch, which may have a target behind its inputs."""
    found = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if isinstance(found, Tensor):
        return found
    if isinstance(found, Mapping) and all(isinstance(part, Tensor) for part in found.values()):
        return found
    raise DataError(
        f"calibrate: the inputs of batch {number} must be a tensor or named tensors, "
        f"got a {_form(found)}"
    )


def _finish(
    norms: Mapping[str, _BatchNorm], olds: Mapping[str, _BatchNorm], n_batches: int
) -> None:
    """Check what was measured; a layer that did not run keeps what it had."""
    if n_batches == 0:
        raise DataError(
            "calibrate: there are no batches", help="a loader can be used up: make anew"
        )
    idle = [name for name, norm in norms.items() if norm.num_batches_tracked == 0]
    if len(idle) == len(norms):
        raise IncompatibleModelsError(
            f"calibrate: none of the batch norm layers ran: {', '.join(idle[:3])}",
            help="give inputs that go through them",
        )
    for name, norm in norms.items():
        if name in idle:
            norm.load_state_dict(olds[name].state_dict())
        elif not (_is_finite(norm.running_mean) and _is_finite(norm.running_var)):
            raise DataError(
                f"calibrate: the statistics of {name!r} are not finite",
                help="look for missing values in the batches, and for NaN in the weights",
            )
    if idle:
        shown = ", ".join(idle[:3]) + (f", ... {len(idle) - 3} more" if len(idle) > 3 else "")
        warn(f"batch norm layers that did not run keep their statistics: {shown}")


def _is_finite(tensor: Tensor | None) -> bool:
    return tensor is not None and bool(tensor.isfinite().all())


def _form(value: object) -> str:
    return type(value).__name__

"""Optimisers by name, and how members with different ones step through one tensor of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, NAdam, Optimizer, RMSprop

from alnico.errors import RecipeError
from alnico.registry import Registry

MakeOptimiser: TypeAlias = Callable[[Tensor, float, float], Optimizer]
"""(weights, rate, weight_decay) -> optimiser."""

optimisers: Registry[MakeOptimiser] = Registry("optimiser")


@dataclass(frozen=True)
class Setting:
    """How one member is trained.

    Args:
        optimiser: A name of the registry `optimisers`.
        rate: Learning rate, above 0; the schedule multiplies it.
        weight_decay: As the optimiser of that name in torch understands it, at least 0.
        seed: Of its data order and its dropout, at least 0.

    Raises:
        UnknownNameError: If there is no such optimiser.
        RecipeError: If a value is out of range.
    """

    optimiser: str = "adamw"
    rate: float = 1e-3
    weight_decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        optimisers[self.optimiser]
        faults = []
        if not (math.isfinite(self.rate) and self.rate > 0):
            faults.append(f"rate must be above 0, got {self.rate}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            faults.append(f"weight_decay must be at least 0, got {self.weight_decay}")
        if not 0 <= self.seed < 2**63:
            faults.append(f"seed must lie in [0, 2**63), got {self.seed}")
        if faults:
            raise RecipeError(f"{self.optimiser}: " + "; ".join(faults))

    @property
    def group(self) -> tuple[str, float, float]:
        """What members must share to take their steps as one."""
        return (self.optimiser, self.rate, self.weight_decay)


def _sgd(weights: Tensor, rate: float, weight_decay: float) -> Optimizer:
    return SGD([weights], rate, momentum=0.9, nesterov=True, weight_decay=weight_decay, fused=True)


def _adam(weights: Tensor, rate: float, weight_decay: float) -> Optimizer:
    return Adam([weights], rate, weight_decay=weight_decay, fused=True)


def _adamw(weights: Tensor, rate: float, weight_decay: float) -> Optimizer:
    return AdamW([weights], rate, weight_decay=weight_decay, fused=True)


def _nadam(weights: Tensor, rate: float, weight_decay: float) -> Optimizer:
    return NAdam([weights], rate, weight_decay=weight_decay)


def _rmsprop(weights: Tensor, rate: float, weight_decay: float) -> Optimizer:
    return RMSprop([weights], rate, weight_decay=weight_decay)


optimisers.add("sgd", _sgd)
optimisers.add("adam", _adam)
optimisers.add("adamw", _adamw)
optimisers.add("nadam", _nadam)
optimisers.add("rmsprop", _rmsprop)


class Stepper:
    """Takes the steps of several members, whose weights are the rows of one tensor.

    Neighbouring rows of one group step as one tensor: all optimisers here work entry by entry, so
    this is what each would do alone.

    Args:
        flat: Weights, [k, P]; changed in place by `step_`.
        grad: Their gradient, [k, P], read by `step_`.
        settings: One a row; rows of one group are neighbours.
    """

    def __init__(self, flat: Tensor, grad: Tensor, settings: Sequence[Setting]) -> None:
        self.settings = list(settings)
        self._optimisers: list[tuple[Optimizer, float]] = []
        start = 0
        for (name, rate, decay), group in groupby(self.settings, lambda setting: setting.group):
            stop = start + len(list(group))
            optimiser = optimisers[name](flat[start:stop], rate, decay)
            self._optimisers.append((optimiser, rate))
            _weights(optimiser).grad = grad[start:stop]
            start = stop

    def step_(self, factor: float) -> None:
        """Take one step at `factor` times each member's rate."""
        for optimiser, rate in self._optimisers:
            optimiser.param_groups[0]["lr"] = factor * rate
            optimiser.step()

    def kept(self, flat: Tensor, grad: Tensor, rows: Sequence[int]) -> Stepper:
        """A stepper that goes on with some rows.

        Args:
            flat: The weights of those rows, a new tensor.
            grad: Their gradient.
            rows: Which rows of this stepper they are, rising.
        """
        after = Stepper(flat, grad, [self.settings[row] for row in rows])
        start = 0
        survivors = iter(after._optimisers)
        for optimiser, _ in self._optimisers:
            weights = _weights(optimiser)
            inside = [row - start for row in rows if start <= row < start + len(weights)]
            start += len(weights)
            if inside:
                _carry_state(optimiser, next(survivors)[0], torch.tensor(inside))
        return after


def _weights(optimiser: Optimizer) -> Tensor:
    weights: Tensor = optimiser.param_groups[0]["params"][0]
    return weights


def _carry_state(before: Optimizer, after: Optimizer, rows: Tensor) -> None:
    old, new = _weights(before), _weights(after)
    rows = rows.to(old.device)
    # moments have the weights' shape; step counts are shared by the group
    after.state[new] = {
        name: value[rows] if torch.is_tensor(value) and value.shape == old.shape else value
        for name, value in before.state[old].items()
    }

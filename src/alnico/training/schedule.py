"""How the learning rate moves over a training: a factor on every member's own rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from alnico.registry import Registry

_WARM_UP = 0.05  # share of the steps

Schedule: TypeAlias = Callable[[int, int], float]

schedules: Registry[Schedule] = Registry("schedule")


def cosine(step: int, n_steps: int) -> float:
    """Rise linearly over the first twentieth of the steps, then fall to zero as half a cosine.

    Args:
        step: The step about to be taken, from 0.
        n_steps: Steps of the whole training.
    """
    warm = max(1, round(_WARM_UP * n_steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm + 1) / (n_steps - warm + 1)))


def constant(step: int, n_steps: int) -> float:
    """Stay at the member's rate."""
    return 1.0


schedules.add("cosine", cosine)
schedules.add("constant", constant)

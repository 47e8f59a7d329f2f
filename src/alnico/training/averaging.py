"""Averages over a training: the exponential moving average (EMA), and the mean of late epochs.

SWA is the mean of the weights at the ends of late epochs (Izmailov et al. 2018). When a training
will end is not known beforehand, so what is late moves with it: of two sums that begin at powers
of two, the older is read. After e epochs it covers the last e/2 to 3e/4 of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Averages:
    """The averages of several members, whose weights are the rows of one tensor.

    Args:
        horizon: Over about how many steps the moving average goes; one step's decay is
            `1 - 1 / horizon`.
        every: Only every so many steps are looked at, with the decay of as many steps.
    """

    def __init__(self, *, horizon: float, every: int = 1) -> None:
        self._every = every
        self._decay = (1 - 1 / max(horizon, 1.0)) ** every
        self._steps = 0
        self._epochs = 0
        self._ema: Tensor | None = None
        self._sums: list[tuple[Tensor, int]] = []

    def step(self, flat: Tensor) -> None:
        """Tell that a step was taken and led to these weights, [k, P]."""
        self._steps += 1
        if self._ema is None:
            self._ema = flat.clone()
        elif self._steps % self._every == 0:
            self._ema.lerp_(flat, 1 - self._decay)

    def end_epoch(self, flat: Tensor) -> None:
        """Tell that an epoch ended with these weights, [k, P]."""
        self._epochs += 1
        if self._epochs & (self._epochs - 1) == 0:  # a power of two
            self._sums = [*self._sums[-1:], (torch.zeros_like(flat), 0)]
        self._sums = [(total.add_(flat), count + 1) for total, count in self._sums]

    def ema(self, row: int) -> Tensor | None:
        """The moving average of a member, [P]; None before the first step."""
        return None if self._ema is None else self._ema[row].clone()

    def swa(self, row: int) -> Tensor | None:
        """The mean of a member's late epochs, [P]; None before the first is over."""
        if not self._sums:
            return None
        total, count = self._sums[0]
        return total[row] / count

    def keep_(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        if self._ema is not None:
            index = torch.tensor(rows, device=self._ema.device)
            self._ema = self._ema[index]
            self._sums = [(total[index], count) for total, count in self._sums]

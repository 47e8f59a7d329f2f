"""One member's course through a training: its epochs, its best weights, and when it is over."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from alnico.training.bundle import write_
from alnico.training.records import Epoch, Stop, Trained
from alnico.types import StateDict


class Course:
    """What is remembered of one member.

    Args:
        patience: It is over after so many epochs without a better validation loss; None: never.
    """

    def __init__(self, *, patience: int | None) -> None:
        self.stopped: Stop | None = None
        self._patience = patience
        self._history: list[Epoch] = []
        self._best_epoch = 0
        self._best_loss = math.inf
        self._weights: Tensor | None = None
        self._buffers: Mapping[str, Tensor] = {}
        self._ema: Tensor | None = None
        self._swa: Tensor | None = None

    def record(self, epoch: Epoch, weights: Tensor, buffers: Mapping[str, Tensor]) -> None:
        """Add an epoch and the weights [P] and buffers it ended with; decide whether to go on."""
        self._history.append(epoch)
        losses = (
            [epoch.train_loss] if epoch.valid_loss is None else [epoch.train_loss, epoch.valid_loss]
        )
        if not (all(map(math.isfinite, losses)) and bool(weights.isfinite().all())):
            self.stopped = "diverged"
        elif epoch.valid_loss is None or epoch.valid_loss < self._best_loss:
            self._best_epoch = epoch.epoch
            self._best_loss = losses[-1]
            self._weights, self._buffers = weights.clone(), buffers
        elif self._patience is not None and epoch.epoch - self._best_epoch >= self._patience:
            self.stopped = "patience"

    def close(self, stopped: Stop, ema: Tensor | None, swa: Tensor | None) -> None:
        """End the course, if it has not ended by itself, and keep its averages [P]."""
        self.stopped = self.stopped or stopped
        if self.stopped != "diverged":
            self._ema, self._swa = ema, swa

    def trained(self, module: nn.Module) -> Trained:
        """The outcome, as copies of `module` (which is as it came in)."""
        assert self.stopped is not None, "a course is closed before its outcome is asked for"
        best = self._copy(module, self._weights)
        return Trained(
            module=best.eval(),
            best_epoch=self._best_epoch,
            history=tuple(self._history),
            ema=self._state(module, self._ema),
            swa=self._state(module, self._swa),
            stopped=self.stopped,
        )

    def _copy(self, module: nn.Module, weights: Tensor | None) -> nn.Module:
        fresh = copy.deepcopy(module)
        if weights is not None:
            write_(fresh, weights, self._buffers)
        return fresh

    def _state(self, module: nn.Module, weights: Tensor | None) -> StateDict | None:
        if weights is None:
            return None
        state: StateDict = self._copy(module, weights).state_dict()
        return {name: torch.clone(tensor) for name, tensor in state.items()}

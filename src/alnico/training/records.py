"""What training gives back; plain records without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import nn

from alnico.types import StateDict

Way: TypeAlias = Literal["stacked", "vmap", "loop"]
Stop: TypeAlias = Literal["patience", "epochs", "deadline", "diverged"]


@dataclass(frozen=True)
class Epoch:
    """One pass of one member over its training rows.

    Args:
        epoch: Its number, from 1.
        train_loss: Mean over the epoch's rows, each at the time of its step. Of the member's own
            outputs; in a `shared` training of the joint output, and the same for all.
        valid_loss: Mean over the validation rows after the epoch; None without such rows. Of the
            member's own outputs; in a `shared` training of the joint output, in a `papa` training
            of the network that has the mean of all members' weights, and the same for all.
        rate: Learning rate of the epoch's last step.
    """

    epoch: int
    train_loss: float
    valid_loss: float | None
    rate: float


@dataclass(frozen=True)
class Trained:
    """One trained member.

    Args:
        module: A copy of the module that came in, in evaluation mode, with the weights of its best
            epoch by `valid_loss`, or of the last epoch without validation rows.
        best_epoch: The number of that epoch; 0 if no epoch was completed and finite: then `module`
            is as it came in.
        history: Its epochs.
        ema: State of the exponential moving average of its steps, if asked for.
        swa: State of the mean of its late epochs, if asked for.
        stopped: Why it ended: no better for `patience` epochs, all epochs done, the deadline, or a
            loss that was no longer finite.
    """

    module: nn.Module
    best_epoch: int
    history: tuple[Epoch, ...]
    ema: StateDict | None
    swa: StateDict | None
    stopped: Stop


@dataclass(frozen=True)
class Training:
    """All members of one call of `train`, in the order of the modules that came in.

    Args:
        members: The members.
        way: How they were computed: as one stack, by `vmap`, or one after the other.
        why: One clause that says why that way.
        seconds: Wall time.
    """

    members: tuple[Trained, ...]
    way: Way
    why: str
    seconds: float

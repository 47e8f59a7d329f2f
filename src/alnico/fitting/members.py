"""Training a group of members on the prepared rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from alnico.data.batches import Rows
from alnico.fitting.plan import Group
from alnico.networks import Architecture, build
from alnico.probing import Outputs, read_outputs
from alnico.structures import row_loss
from alnico.training import Asked, Epoch, Setting, Trained, train
from alnico.types import Inputs, StateDict, Task


@dataclass(frozen=True)
class Net:
    """A network with the description that it can be rebuilt from."""

    architecture: Architecture
    module: nn.Module


@dataclass(frozen=True)
class Member:
    """A trained network, and how it came about.

    Args:
        name: Unique within a run, e.g. `mlp-0.2`.
        net: The network at its best epoch.
        setting: How it was trained.
        start: Members of one group with equal starts are a family.
        ema: Exponential moving average of its weights.
        swa: Mean of its weights over the late epochs.
        best_epoch: Counted from 1.
        history: Losses by epoch.
        stopped: Why training ended; `given` if it was trained elsewhere.
        outputs: What it says of the validation part.
        seconds: Its share of the group's training time.
    """

    name: str
    group: Group
    net: Net
    setting: Setting
    start: int
    ema: Net | None
    swa: Net | None
    best_epoch: int
    history: tuple[Epoch, ...]
    stopped: str
    outputs: Outputs
    seconds: float

    @property
    def family(self) -> tuple[str, int]:
        """Members with equal families share their start."""
        return self.group.name, self.start


@dataclass(frozen=True)
class TrainedGroup:
    """The members of a group, and the way they were trained in."""

    members: tuple[Member, ...]
    way: Asked
    why: str
    seconds: float


def reading(rows: Rows, architecture: Architecture, inputs: Inputs) -> Rows:
    """Only what an architecture reads; with lengths where it reads words in order."""
    assert isinstance(rows.inputs, Mapping)
    batch = {key: rows.inputs[key] for key in architecture.keys(inputs)}
    length = (batch["words"] != 0).sum(1) if "words" in batch else None
    return Rows(batch, rows.target, length)


def outputs_of(net: Net, rows: Rows, inputs: Inputs) -> Outputs:
    """What a network says of all rows, of which it reads what its architecture reads."""
    return read_outputs(net.module, reading(rows, net.architecture, inputs).inputs)


def train_group(
    group: Group,
    rows: Rows,
    valid: Rows,
    *,
    inputs: Inputs,
    task: Task,
    way: Asked,
    deadline: float | None = None,
    warm: nn.Module | None = None,
) -> TrainedGroup:
    """Train the members of a group together.

    Args:
        group: What to train.
        rows: The training part.
        valid: The validation part: it stops members early.
        inputs: What the batches hold.
        task: What is predicted.
        way: As in `alnico.training.train`; `rule` repeats itself exactly.
        deadline: `time.monotonic()` at which training ends with what there is.
        warm: The trained network that all members begin from, if the group has one.
    """
    rows, valid = (reading(r, group.architecture, inputs) for r in (rows, valid))
    began = time.monotonic()
    if warm is None:
        starts = _starts(group, rows, inputs, task, deadline)
    else:
        starts = [warm] * len(group.starts)
    training = train(
        starts,
        rows,
        settings=group.settings,
        loss=loss_of(task),
        valid=valid,
        epochs=group.epochs,
        patience=group.patience,
        batch_size=group.batch_size,
        clip=1.0,
        way=way,
        deadline=deadline,
        together=group.together,
    )
    seconds = time.monotonic() - began
    members = tuple(
        _member(group, i, trained, valid, seconds / len(starts))
        for i, trained in enumerate(training.members)
    )
    return TrainedGroup(members, training.way, training.why, seconds)


def retrain(
    member: Member, rows: Rows, *, inputs: Inputs, task: Task, warm: nn.Module | None = None
) -> Net:
    """Train a member's network again, on other rows, for as many epochs as were best for it.

    It is trained by itself, whatever the scheme of its group was.

    Args:
        member: Whose architecture, setting and start are taken.
        rows: What it is trained on.
        inputs: What the batches hold.
        task: What is predicted.
        warm: The network that its group began from, if it had one.
    """
    group = member.group
    rows = reading(rows, group.architecture, inputs)
    shares = Counter(group.starts)[member.start] > 1
    first = group.settings[group.starts.index(member.start)]
    start = warm or build(group.architecture, inputs, task.n_outputs, seed=first.seed)
    if shares and warm is None:
        start = _warm(start, group, first, rows, task)
    training = train(
        [start],
        rows,
        settings=[member.setting],
        loss=loss_of(task),
        epochs=group.epochs,
        stop_after=member.best_epoch,
        batch_size=group.batch_size,
        clip=1.0,
        way="loop",
        averages=False,
    )
    return Net(group.architecture, training.members[0].module)


def loss_of(task: Task) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean loss over rows: cross-entropy, or squared error."""
    return partial(_mean_loss, task=task)


def _mean_loss(output: Tensor, target: Tensor, *, task: Task) -> Tensor:
    return row_loss(output, target, task).mean()


def _starts(
    group: Group, rows: Rows, inputs: Inputs, task: Task, deadline: float | None
) -> list[nn.Module]:
    """One network for each member; those of a family begin from the same warm one."""
    found: dict[int, nn.Module] = {}
    shared = {start for start, n in Counter(group.starts).items() if n > 1}
    for start, setting in zip(group.starts, group.settings, strict=True):
        if start in found:
            continue
        module = build(group.architecture, inputs, task.n_outputs, seed=setting.seed)
        if start in shared:
            module = _warm(module, group, setting, rows, task, deadline)
        found[start] = module
    return [found[start] for start in group.starts]


def _warm(
    module: nn.Module,
    group: Group,
    setting: Setting,
    rows: Rows,
    task: Task,
    deadline: float | None = None,
) -> nn.Module:
    """One epoch at a constant rate."""
    training = train(
        [module],
        rows,
        settings=[setting],
        loss=loss_of(task),
        epochs=1,
        batch_size=group.batch_size,
        schedule="constant",
        clip=1.0,
        way="loop",
        deadline=deadline,
        averages=False,
    )
    return training.members[0].module


def _member(group: Group, i: int, trained: Trained, valid: Rows, seconds: float) -> Member:
    def net(state: StateDict | None) -> Net | None:
        return None if state is None else Net(group.architecture, _loaded(trained.module, state))

    return Member(
        name=f"{group.name}.{i}",
        group=group,
        net=Net(group.architecture, trained.module),
        setting=group.settings[i],
        start=group.starts[i],
        ema=net(trained.ema),
        swa=net(trained.swa),
        best_epoch=trained.best_epoch,
        history=trained.history,
        stopped=trained.stopped,
        outputs=read_outputs(trained.module, valid.inputs),
        seconds=seconds,
    )


def _loaded(module: nn.Module, state: StateDict) -> nn.Module:
    other = deepcopy(module)
    other.load_state_dict(state)
    return other.eval()

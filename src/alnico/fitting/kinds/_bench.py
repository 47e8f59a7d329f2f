"""What kinds work with, and the open registry of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from torch import Tensor

from alnico.data.batches import Rows
from alnico.evaluation.metrics import Metric
from alnico.fitting.leaderboard import rank
from alnico.fitting.members import Member, Net, outputs_of
from alnico.fitting.rows import Row
from alnico.registry import Registry
from alnico.structures import Parts, row_loss
from alnico.types import Inputs, Task


@dataclass(frozen=True)
class Bench:
    """What kinds work with.

    Args:
        members: All trained members.
        train: The training part.
        valid: The validation part.
        folds: The fold of each validation row.
        inputs: What batches hold.
        task: What is predicted.
        metric: What rows are ranked by.
        columns: Key of a batch -> which column of the table each of its columns encodes.
        rows: What the kinds before have made, calibrated and scored on validation.
        seed: Of what is trained here.
        deadline: `time.monotonic()` at which training here ends with what there is.
    """

    members: tuple[Member, ...]
    train: Rows
    valid: Rows
    folds: Tensor
    inputs: Inputs
    task: Task
    metric: Metric
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    seed: int = 0
    deadline: float | None = None

    @cached_property
    def pool(self) -> tuple[Member, ...]:
        """Members that say something by themselves; those of a shared loss do so only together."""
        return tuple(m for m in self.members if m.group.together != "shared")

    @cached_property
    def parts(self) -> Parts:
        """What the members of the pool say of the validation part."""
        return Parts.of([m.outputs for m in self.pool])

    def groups(self, together: str) -> list[tuple[Member, ...]]:
        """The members of every group that was trained by one scheme."""
        found: dict[str, list[Member]] = {}
        for member in self.members:
            if member.group.together == together:
                found.setdefault(member.group.name, []).append(member)
        return [tuple(group) for group in found.values()]

    def best(self, kind: str | None = None) -> Row | None:
        """The best row so far by validation, of one kind or of all."""
        rows = [row for row in self.rows if row.skipped is None and kind in (None, row.kind)]
        return next(iter(rank(rows, self.metric)), None)

    def loss(self, outputs: Tensor) -> float:
        """Mean loss on the validation part."""
        return float(row_loss(outputs, self.valid.target, self.task).mean())

    def read(self, net: Net) -> Tensor:
        """What a network says of the validation part. -> [n, c]"""
        return outputs_of(net, self.valid, self.inputs).logits


Kind: TypeAlias = Callable[[Bench], Iterator[Row]]

kinds: Registry[Kind] = Registry("kind")


def kind(name: str) -> Callable[[Kind], Kind]:
    """Register a kind of rows under a name."""
    return lambda make: kinds.add(name, make)


def describe(nets: Sequence[Net]) -> str:
    """Networks by architecture and number: `text_gru x3, mlp x2`."""
    counts: dict[str, int] = {}
    for net in nets:
        counts[net.architecture.name] = counts.get(net.architecture.name, 0) + 1
    return ", ".join(name if n == 1 else f"{name} x{n}" for name, n in counts.items())

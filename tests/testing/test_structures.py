"""The contract itself: structures that each break one promise."""

from __future__ import annotations

from typing import Any, Self

import pytest
import torch
import torch._dynamo  # an optimiser loads it, and it sets an environment variable
from torch import Tensor, nn

from alnico.structures import Average, Learned, Parts, Structure
from alnico.testing import check_structure
from alnico.testing.structures import TASKS, example
from alnico.types import Task


class Shift(Structure):
    """A good one: the mean of all members, moved by the mean residual (0 for classes)."""

    name = "shift"

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.zeros(n_outputs))

    @classmethod
    def learn(cls, parts: Parts, target: Tensor, task: Task) -> Learned[Self]:
        fitted = cls(task.n_outputs)
        if not task.is_classification:
            with torch.no_grad():
                fitted.by.copy_((target - parts.logits.mean(0).squeeze(-1)).mean())
        return Learned(tuple(range(len(parts))), fitted)

    @property
    def settings(self) -> dict[str, Any]:
        return {"n_outputs": len(self.by)}

    def forward(self, parts: Parts) -> Tensor:
        return parts.logits.mean(0) + self.by


class Random(Shift):
    @classmethod
    def learn(cls, parts, target, task):
        fitted = Shift.learn.__func__(cls, parts, target, task)
        fitted.structure.by.data += 1e-6 * torch.rand(())
        return fitted


class Remembering(Shift):
    seen = 0

    @classmethod
    def learn(cls, parts, target, task):
        cls.seen += 1
        fitted = Shift.learn.__func__(cls, parts, target, task)
        fitted.structure.by.data += 1e-6 * cls.seen
        return fitted


class Careless(Shift):
    @classmethod
    def learn(cls, parts, target, task):
        parts.logits.mul_(2)
        return Shift.learn.__func__(cls, parts, target, task)


class Twice(Shift):
    @classmethod
    def learn(cls, parts, target, task):
        return Learned((0, 0), Shift.learn.__func__(cls, parts, target, task).structure)


class Absent(Shift):
    @classmethod
    def learn(cls, parts, target, task):
        return Learned((len(parts),), Shift.learn.__func__(cls, parts, target, task).structure)


class Flat(Shift):
    def forward(self, parts):
        return super().forward(parts).flatten()


class Endless(Shift):
    def forward(self, parts):
        return super().forward(parts) / 0


class Normed(Shift):
    def forward(self, parts):
        out = super().forward(parts)
        return out - out.mean(0)


class First(Shift):
    def forward(self, parts):
        return parts.logits[0] + self.by


class Louder(Average):
    name = "louder"

    def forward(self, parts):
        return 3 * super().forward(parts)


class Worse(Shift):
    @classmethod
    def learn(cls, parts, target, task):
        fitted = Shift.learn.__func__(cls, parts, target, task)
        fitted.structure.by.data[0] += 5
        return fitted


class Unkept(Shift):
    @property
    def settings(self):
        return {"n_outputs": torch.tensor(len(self.by))}


class Misshapen(Shift):
    @property
    def settings(self):
        return {"n_outputs": 1 + len(self.by)}

    def forward(self, parts):
        return parts.logits.mean(0) + self.by[: parts.logits.shape[-1]]


class Forgetful(Shift):
    factor = 1.0

    @classmethod
    def learn(cls, parts, target, task):
        fitted = Shift.learn.__func__(cls, parts, target, task)
        fitted.structure.factor = 1.0 + 1e-7 * (task.n_outputs > 1)
        return fitted

    def forward(self, parts):
        return super().forward(parts) * self.factor


def test_a_structure_of_ones_own_that_keeps_the_contract_passes() -> None:
    check_structure(Shift)


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (Random, "uses the global random state"),
        (Remembering, "does not repeat itself"),
        (Careless, "changes what it learns from"),
        (Twice, r"chooses the members \(0, 0\) of 3"),
        (Absent, r"chooses the members \(3,\) of 3"),
        (Flat, r"says \[192\] of 96 rows and 2 outputs"),
        (Endless, "says what is not finite"),
        (Normed, "something else of a row when other rows are beside it"),
        (First, "does not start at the mean of its members' logits"),
        (Louder, "louder is no average of its members"),
        (Worse, "is worse than before it learned"),
        (Unkept, "settings that JSON does not keep: .* Tensor"),
        (Misshapen, "settings that make another shape"),
        (Forgetful, "says something else when it is rebuilt"),
    ],
)
def test_a_broken_promise_is_named(broken: type[Structure], fault: str) -> None:
    with pytest.raises(
        AssertionError, match=rf"(?s){fault}.*\(binary, features of widths \[5, 3, 0\]"
    ):
        check_structure(broken)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_the_members_of_the_example_know_something(task: Task) -> None:
    parts, target = example(task, (5, 3, 0), seed=0)
    assert parts.widths == [5, 3, 0]
    together = parts.logits.mean(0)
    if task.is_classification:
        assert (together.argmax(1) == target).float().mean() > 1.3 / task.n_outputs
    else:
        assert torch.corrcoef(torch.stack([together[:, 0], target]))[0, 1] > 0.6

"""Members that are made up, and what they are to predict."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch._dynamo  # an optimiser loads it, and it sets an environment variable
from torch import Tensor

from alnico.structures import Parts
from alnico.types import Task

MakeParts = Callable[..., tuple[Parts, Tensor]]


def _make_parts(
    task: Task, *noises: float, n: int = 200, width: int = 3, seed: int = 0
) -> tuple[Parts, Tensor]:
    """One member for each noise: the truth and as much noise; features that say nothing."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.randn(n, task.n_outputs, generator=random)
    logits = [truth + x * torch.randn(truth.shape, generator=random) for x in noises]
    features = tuple(torch.randn(n, width, generator=random) for _ in noises)
    target = truth.argmax(1) if task.is_classification else truth[:, 0]
    return Parts(torch.stack(logits), features), target


@pytest.fixture
def make_parts() -> MakeParts:
    return _make_parts


@pytest.fixture(params=["binary", "multiclass", "regression"])
def task(request: pytest.FixtureRequest) -> Task:
    classes = {"binary": (False, True), "multiclass": (0, 1, 2, 3), "regression": ()}
    return Task(request.param, classes[request.param])

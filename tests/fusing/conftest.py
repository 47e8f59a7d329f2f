"""Networks trained by hand on the digits that scikit-learn ships."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch._dynamo  # an optimiser loads it, and it sets an environment variable
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.types import Task

TASK = Task("multiclass", tuple(range(10)))
Train = Callable[..., nn.Module]


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    hidden = [nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Dropout(0.2), nn.Linear(24, 10))


def _train(module: nn.Module, x: Tensor, y: Tensor, *, steps: int, seed: int) -> nn.Module:
    optimiser = torch.optim.Adam(module.train().parameters(), 0.01)
    torch.manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        optimiser.zero_grad()
        F.cross_entropy(module(x[rows]), y[rows]).backward()
        optimiser.step()
    return module.eval()


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images).float() / 16, torch.from_numpy(labels).long()


@pytest.fixture(scope="session")
def strangers(digits: tuple[Tensor, Tensor]) -> list[nn.Module]:
    """Networks of one architecture from different starts."""
    x, y = (part[:800] for part in digits)
    return [_train(_network(seed), x, y, steps=200, seed=seed) for seed in (1, 2, 3)]


@pytest.fixture(scope="session")
def relatives(digits: tuple[Tensor, Tensor], strangers: list[nn.Module]) -> list[nn.Module]:
    """Networks that go on from one warm start, each with rows of its own; the last goes astray."""
    x, y = (part[:800] for part in digits)
    members = []
    for seed in (4, 5, 6):
        member = _network(0)
        member.load_state_dict(strangers[0].state_dict())
        members.append(_train(member, x, y, steps=60, seed=seed))
    astray = _network(0)
    astray.load_state_dict(strangers[0].state_dict())
    return [*members, _train(astray, x, (y + 1) % 10, steps=60, seed=7)]


@pytest.fixture
def task() -> Task:
    return TASK

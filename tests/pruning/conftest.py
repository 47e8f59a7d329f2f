"""A perceptron that has learned the digits, and rows for the package's own networks."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo  # an optimiser loads it, and it sets an environment variable
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.types import Inputs

INPUTS = Inputs(numbers=3, missing=1, categories=(5, 4), words=20, bag=30)


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images).float() / 16, torch.from_numpy(labels).long()


@pytest.fixture(scope="session")
def perceptron(digits: tuple[Tensor, Tensor]) -> nn.Module:
    """Trained on the first 1 200 digits."""
    x, y = (part[:1_200] for part in digits)
    torch.manual_seed(1)
    hidden = [nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 32), nn.ReLU()]
    module = nn.Sequential(*hidden, nn.Linear(32, 10))
    optimiser = torch.optim.Adam(module.parameters(), 0.005)
    for _ in range(400):
        rows = torch.randint(len(x), (64,))
        optimiser.zero_grad()
        F.cross_entropy(module(x[rows]), y[rows]).backward()
        optimiser.step()
    return module.eval()


@pytest.fixture(scope="session")
def batch() -> dict[str, Tensor]:
    """Every tensor that a network of the package may read."""
    random = torch.Generator().manual_seed(0)

    def ids(most: int, *shape: int) -> Tensor:
        return torch.randint(most, shape, generator=random)

    return {
        "quantile": torch.rand(90, 3, generator=random),
        "log": torch.randn(90, 3, generator=random),
        "missing": ids(2, 90, 1).float(),
        "categories": torch.cat([ids(5, 90, 1), ids(4, 90, 1)], 1).int(),
        "words": ids(20, 90, 7),
        "bag": ids(30, 90, 6),
        "bag_weight": torch.rand(90, 6, generator=random),
    }


@pytest.fixture
def inputs() -> Inputs:
    return INPUTS

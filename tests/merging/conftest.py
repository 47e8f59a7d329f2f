"""Small models in files, as a fine-tuning leaves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from alnico.methods import methods
from alnico.types import StateDict


def network(width: int = 8) -> nn.Sequential:
    """A network with a norm: float tensors, and a counter that has no mean."""
    return nn.Sequential(nn.Linear(5, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a model of random weights, or a given state, to NAME.safetensors."""

    def save(name: str, state: StateDict | None = None, /, **metadata: str) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_file(network().state_dict() if state is None else state, path, metadata or None)
        return path

    return save


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that a test registers are forgotten after it."""
    monkeypatch.setattr(methods, "_things", dict(methods._things))


@pytest.fixture
def half() -> StateDict:
    return {"x": torch.tensor([1.0, 2.0]).half()}

"""Small models in files, as a fine-tuning leaves them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from alnico.checkpoint.opened import Checkpoint, open_checkpoint
from alnico.methods import Method, methods
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
def three(save: Callable[..., Path]) -> list[Path]:
    """Two models and their base."""
    return [save(name) for name in ("cats", "dogs", "base")]


@pytest.fixture
def opened(save: Callable[..., Path]) -> Iterator[Callable[..., list[Checkpoint]]]:
    """Write states as `0.safetensors`, `1.safetensors`, ... and open them."""
    with ExitStack() as stack:

        def opened(*states: StateDict) -> list[Checkpoint]:
            paths = [save(str(i), state) for i, state in enumerate(states)]
            return [stack.enter_context(open_checkpoint(path)) for path in paths]

        yield opened


@pytest.fixture
def made() -> Callable[..., Method]:
    """A method of a function, which stays out of the registry."""

    def made(function: Callable[..., object], sees: str = "weights") -> Method:
        return Method("made", function, sees, (), "Test.", None, None, False, False)  # type: ignore[arg-type]

    return made


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that a test registers are forgotten after it."""
    monkeypatch.setattr(methods, "_things", dict(methods._things))


@pytest.fixture
def half() -> StateDict:
    return {"x": torch.tensor([1.0, 2.0]).half()}


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a text in a process of its own, in a folder."""

    def run(
        text: str, *args: object, cwd: Path = tmp_path, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", text, *map(str, args)],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
            capture_output=True,
            text=True,
            timeout=100,
        )

    return run

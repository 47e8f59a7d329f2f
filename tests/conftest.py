"""What every test gets: a fixed seed, no network, and a guard against leaks."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sklearn.linear_model
import torch
import torch._dynamo

from alnico import progress

# both set environment variables of their own when they are first used, which is no test's fault
assert sklearn.linear_model is not None
assert torch._dynamo is not None

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their argument: an archive holds the time, and workers must agree on names."""
    del config
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True, scope="session")
def _someone_listens() -> Iterator[None]:
    # a warning that no listener hears becomes a Python warning, and those are errors here
    with progress.listen(lambda event: None):
        yield


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # tests are many small steps, which two threads only slow down
    np.random.seed(0)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    environment, threads = _environment(), set(threading.enumerate())
    yield
    assert _environment() == environment, "the test changed an environment variable"
    left = [t for t in set(threading.enumerate()) - threads if not t.daemon]
    assert not left, f"the test left threads behind: {left}"


def _environment() -> dict[str, str]:
    # pytest changes this one itself, from phase to phase
    return {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets; the test is skipped where it is not laid."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared data sets are not here")
    return SHARED_DATA

from __future__ import annotations

import contextlib
import io
import re
import runpy
from pathlib import Path

import pytest
import torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "two_models.py"


@pytest.fixture(scope="module")
def printed() -> str:
    out = io.StringIO()
    with torch.random.fork_rng(), contextlib.redirect_stdout(out):
        runpy.run_path(str(EXAMPLE))
    return out.getvalue()


def test_the_losses_fall(printed: str) -> None:
    losses = [float(x) for x in re.findall(r"loss (\S+)", printed)]
    assert len(losses) == 16
    for course in (losses[:8], losses[8:]):
        assert course[-1] < course[0] - 0.05


def test_every_network_is_better_than_chance(printed: str) -> None:
    found = {name: float(x) for name, x in re.findall(r"(\w[\w ]*?) +accuracy (\S+)", printed)}
    fused = ["weighted average", "concat", "attention"]
    assert list(found) == ["one", "other", "wide", *fused]
    assert all(0.7 < accuracy < 1.0 for accuracy in found.values())
    assert max(found[name] for name in fused) >= found["one"]


def test_it_is_short_and_plain() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 60

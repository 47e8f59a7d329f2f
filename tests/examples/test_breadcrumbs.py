from __future__ import annotations

from pathlib import Path

import pytest
import torch

from alnico.merging import load_plugin
from alnico.methods import methods
from alnico.testing import check_method

EXAMPLE = Path(__file__).parents[2] / "examples" / "breadcrumbs.py"


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_things", dict(methods._things))


def test_a_method_of_ones_own_takes_25_lines_and_keeps_the_contract() -> None:
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 25
    (made,) = load_plugin(EXAMPLE)
    assert made.name == "breadcrumbs" and made.sees == "deltas"
    check_method("breadcrumbs")


def test_it_keeps_the_middle_of_the_sorted_changes() -> None:
    (made,) = load_plugin(EXAMPLE)
    change = torch.randn(1, 200)
    kept = made(change, density=0.5, outliers=0.1)
    order = change[0].abs().argsort(descending=True)
    middle = torch.zeros(200, dtype=torch.bool)
    middle[order[20:120]] = True
    assert torch.equal(kept, torch.where(middle, change[0], 0.0))

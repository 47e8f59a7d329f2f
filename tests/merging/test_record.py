from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from alnico.merging import load_plugin, merge_files
from alnico.merging.plan import Plan
from alnico.merging.record import describe
from alnico.methods import methods

OWN = """
import alnico
from torch import Tensor

@alnico.method()
def middle(weights: Tensor, mode: str = "fast", signed: bool = False) -> Tensor:
    \"\"\"Take the median.\"\"\"
    return weights.median(0).values
"""


@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        ("linear", {}, "linear weight=1 normalize=True"),
        ("linear", {"weight": torch.tensor([1.0, 0.25])}, "linear weight=1,0.25 normalize=True"),
        ("slerp", {"t": 1 / 3}, "slerp t=0.333333"),
    ],
)
def test_a_merge_is_described_in_one_line(name: str, given: dict, line: str) -> None:
    method = methods[name]
    assert describe(Plan(method, method.check(2, given), {})) == line


@pytest.mark.usefixtures("own_registry")
def test_a_method_of_ones_own_is_recorded_with_its_files_hash(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    load_plugin(file)
    record = merge_files([save("a"), save("b")], tmp_path / "out.safetensors", "middle")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["plugin"] == {"path": str(file), "sha256": digest, "bytes": len(OWN)}
    assert record["parameters"] == {"mode": "fast", "signed": False}

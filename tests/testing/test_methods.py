"""The contract itself: plug-ins that each break one promise, written to a file and loaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from alnico.methods import Method, methods
from alnico.testing import check_method

PLUGIN = '''
from __future__ import annotations
import torch
from torch import Tensor
from alnico.methods import method, per_model

@method({claims})
def plugin(weights: Tensor, weight: Tensor = per_model(1.0)) -> Tensor:
    """Merge in a way of its own."""
    {body}
'''
MEAN = "return (weights * weight).sum(0) / weight.sum(0)"
BOTH = "symmetric=True, idempotent=True"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(methods, "_things", dict(methods._things))

    def load(body: str, claims: str) -> Method:
        file = tmp_path / "an_alnico_plugin.py"
        file.write_text(PLUGIN.format(body=body, claims=claims))
        spec = importlib.util.spec_from_file_location("an_alnico_plugin", file)
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        return methods["plugin"]

    return load


def test_a_plugin_in_a_file_that_keeps_the_contract_passes(load) -> None:
    check_method(load(MEAN, BOTH))


@pytest.mark.parametrize(
    ("body", "claims", "fault"),
    [
        (MEAN, "idempotent=True", "plugin is symmetric and does not say so: symmetric=True"),
        (MEAN, "symmetric=True", "plugin is idempotent and does not say so"),
        ("return weights[0] * weight[0]", BOTH, "claims to be symmetric and is not"),
        ("return (weights * weight).sum(0)", BOTH, "claims to be idempotent and is not"),
        ("return weights.mean(0)", BOTH, "lets no gradient reach weight"),
        ("return weights.mean(0) + 0 * weight.sum()", BOTH, "lets no gradient reach weight"),
        ("return weights.mean(0) + (weight.sum() * 0).sqrt()", BOTH, "that is not finite"),
        ("return weights.mul_(weight).mean(0)", BOTH, "plugin changes its input"),
        ("return (weights * weight).sum(0) / 0", BOTH, "makes what is not finite"),
        ("return (weights * weight).nan_to_num().mean(0)", BOTH, "hides NaN in a model"),
        ("return (weights * weight).mean()", BOTH, r"makes \[\] of \[3, 7\]"),
        ("return (weights * weight).mean(0).half()", BOTH, "makes torch.float16 of"),
        ("return (weights * weight).mean(0) + torch.rand(())", BOTH, "does not repeat itself"),
    ],
)
def test_a_broken_promise_is_named(load, body: str, claims: str, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        check_method(load(body, claims))


def test_of_several_at_once_the_one_that_breaks_a_promise_is_named(load) -> None:
    check_method("linear", "ties", load(MEAN, BOTH))
    broken = load(
        "return (weights * weight).mean(0) + abs(hash('alnico')) % 1000003", "symmetric=True"
    )
    with pytest.raises(AssertionError, match="plugin makes other values in another process"):
        check_method("linear", broken, "ties")


def test_a_value_that_depends_on_the_hash_seed_is_found(load) -> None:
    body = "return (weights * weight).mean(0) + abs(hash('alnico')) % 1000003"
    with pytest.raises(AssertionError, match="makes other values in another process"):
        check_method(load(body, "symmetric=True"))

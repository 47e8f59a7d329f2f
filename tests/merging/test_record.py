from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xxhash
from safetensors.numpy import load_file

from alnico.merging import load_plugin, merge_files, record
from alnico.merging.alike import Keep, Merge, plan_alike
from alnico.merging.record import describe, fates
from alnico.merging.saving import Order
from alnico.merging.steps import Dropped, Form, Input, Plan, Step
from alnico.methods import methods

OWN = """
import alnico
from torch import Tensor

@alnico.method()
def middle(weights: Tensor, mode: str = "fast", signed: bool = False) -> Tensor:
    \"\"\"Take the median.\"\"\"
    return weights.median(0).values
"""
FORMS = {"w": Form("F32", (2,)), "b": Form("F32", (2,)), "n": Form("I64", ())}


def plan_of(name: str, **given: object) -> Plan:
    method = methods[name]
    merge = Merge(method, method.check(2, given))  # type: ignore[arg-type]
    base = ("base", FORMS) if method.needs_base else None
    return plan_alike([("a", FORMS), ("b", FORMS)], lambda _: merge, base=base)


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        ("linear", {}, "linear weight=1 normalize=True"),
        ("linear", {"weight": torch.tensor([1.0, 0.25])}, "linear weight=1,0.25 normalize=True"),
        ("passthrough", {"scale": 1 / 3}, "passthrough scale=0.333333"),
        ("karcher", {"max_iter": 20_000}, "karcher max_iter=20 000 tolerance=1e-05"),
    ],
)
def test_a_merge_is_described_in_one_line(name: str, given: dict, line: str) -> None:
    method = methods[name]
    merge = Merge(method, method.check(method.models or 2, given))
    models = [("a", FORMS), ("b", FORMS)][: method.models or 2]
    assert describe(plan_alike(models, lambda _: merge)) == line


def test_merges_that_differ_between_tensors_are_named_alone() -> None:
    linear, other = (Merge(methods["linear"], {"weight": weight}) for weight in (1.0, 0.5))
    ties = Merge(methods["ties"])

    def line(w: Merge | Keep, b: Merge | Keep) -> str:
        given = {"w": w, "b": b, "n": linear}
        return describe(plan_alike([("a", FORMS)], given.__getitem__, base=("base", FORMS)))

    assert line(linear, linear) == "linear weight=1"
    assert line(linear, other) == "linear, by tensor"
    assert line(linear, ties) == "linear, ties"
    assert line(Keep(0), ties) == "ties"
    assert line(Keep(0), Keep(1)) == "copy"


def test_every_tensor_has_one_fate() -> None:
    steps = tuple(
        Step(name, Form("F32", ()), rule, (Input(0, name),))  # type: ignore[arg-type]
        for name, rule in zip("dcba", ("merge", "copy", "equal", "largest"), strict=True)
    )
    plan = Plan(("cats", "dogs"), steps, (Dropped(Input(1, "e"), "is of no use"),))
    assert fates(plan) == {
        "merged": ["d"],
        "copied": ["b", "c"],
        "largest": ["a"],
        "dropped": [{"model": "dogs", "tensor": "e", "reason": "is of no use"}],
    }


def test_the_record_beside_a_file_tells_all(three: list[Path], tmp_path: Path) -> None:
    cats, dogs, base = three
    out = tmp_path / "pets.v1.safetensors"
    given = merge_files(
        [cats, dogs], str(out), "ties", base=base, seed=4, weight=torch.tensor([1.0, 0.5])
    )
    found = json.loads((tmp_path / "pets.v1.run.json").read_text("utf-8"))
    assert found == given and found["alnico_merge"] == 2
    assert (found["method"], found["plugin"], found["seed"]) == ("ties", None, 4)
    assert found["parameters"] == methods["ties"].check(2, {}) | {"weight": [1.0, 0.5]}
    assert found["base"] == str(base)
    for said, path in zip([*found["models"], found["output"]], [*three, out], strict=True):
        assert said["path"] == str(path) and said["bytes"] == path.stat().st_size
        assert list(said["sha256"].values()) == [sha(path)]
        assert said["content"] == content_of(path)
    assert {"alnico", "torch", "numpy"} <= set(found["versions"])
    assert found["tensors"]["largest"] == ["1.num_batches_tracked"]
    named = [name for fate in ("merged", "copied", "largest") for name in found["tensors"][fate]]
    assert sorted(named) == sorted(load_file(out))


def content_of(path: Path) -> str:
    """By the rule, from the tensors as safetensors gives them; each is one block here."""
    lines = b""
    for name, array in sorted(load_file(path).items()):
        dtype = {"float32": "F32", "int64": "I64"}[str(array.dtype)]
        inner = xxhash.xxh3_128(np.ascontiguousarray(array).tobytes()).digest()
        digest = xxhash.xxh3_128(inner).hexdigest()
        shape = ",".join(map(str, array.shape))
        lines += f"{name}\0{dtype}\0{shape}\0{digest}\n".encode()
    return f"xxh3-128:{xxhash.xxh3_128(lines).hexdigest()}"


def test_large_files_are_hashed_as_files_only_if_that_is_wished(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "SMALL", three[0].stat().st_size - 1)
    for wished in (False, True):
        out = tmp_path / f"{wished}.safetensors"
        found = merge_files(three, out, order=Order(sha256=wished))
        for said in [*found["models"], found["output"]]:  # type: ignore[misc, index]
            assert bool(said["sha256"]) is wished and said["content"].startswith("xxh3-128:")


def test_the_content_of_a_model_does_not_depend_on_its_shards(
    three: list[Path], tmp_path: Path
) -> None:
    whole = merge_files(three, tmp_path / "one")["output"]
    parts = merge_files(three, tmp_path / "many", order=Order(shard_bytes=100))["output"]
    assert whole["content"] == parts["content"]  # type: ignore[index]
    assert len(whole["sha256"]) == 1 < len(parts["sha256"])  # type: ignore[index]


@pytest.mark.usefixtures("own_registry")
def test_a_method_of_ones_own_is_recorded_with_its_files_hash(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    load_plugin(file)
    found = merge_files([save("a"), save("b")], tmp_path / "out.safetensors", "middle")
    assert found["plugin"] == {"path": str(file), "sha256": sha(file)}
    assert found["parameters"] == {"mode": "fast", "signed": False}

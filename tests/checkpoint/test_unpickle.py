"""The child's work, done in this process, against torch's own loader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from alnico.checkpoint import unpickle
from alnico.checkpoint.reader import DTYPES
from alnico.checkpoint.sandbox import Limits
from alnico.checkpoint.shards import Out, one_file

NAMES = {dtype: name for name, dtype in DTYPES.items()}


def laid_out(path: Path, tensors: dict[str, Tensor]) -> Path:
    """A safetensors file with a header and zeros, as the parent makes it."""
    outs = [Out(name, NAMES[x.dtype], tuple(x.shape)) for name, x in tensors.items()]
    layout = one_file("", outs, {})
    path.write_bytes(layout.header + bytes(layout.n_bytes - len(layout.header)))
    return path


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("key", [None, "model"])
def test_tensors_of_every_kind_are_written_in_row_major_order(
    tmp_path: Path, is_zip: bool, key: str | None
) -> None:
    whole = torch.randn(6, 5)
    state = {
        "whole": whole,
        "turned": whole.t(),
        "part": whole[2:5, ::2],
        "spread": torch.ones(3, 1).expand(3, 4),
        "one": whole.as_strided((1, 1), (7, 9), 3),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(3).bfloat16()),
        "flags": torch.tensor([True, False]),
        "counts": torch.tensor([2**40, -1]),
    }
    torch.save(
        state if key is None else {key: state, "n": 1},
        tmp_path / "m.pt",
        _use_new_zipfile_serialization=is_zip,
    )
    target = laid_out(tmp_path / "m.safetensors", state)
    unpickle.fill(tmp_path / "m.pt", target, key, is_zip=is_zip)
    written = load_file(target)
    assert set(written) == set(state)
    for name, tensor in state.items():
        assert written[name].dtype == tensor.dtype and torch.equal(written[name], tensor)


def test_a_tensor_that_is_not_as_it_was_described_is_an_error(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2, 3)}, tmp_path / "m.pt")
    for other in (torch.ones(3, 2), torch.ones(2, 3, dtype=torch.int32)):
        target = laid_out(tmp_path / "m.safetensors", {"a": other})
        with pytest.raises(ValueError, match=r"tensor 'a' is torch\.float32 \[2, 3\]"):
            unpickle.fill(tmp_path / "m.pt", target, None, is_zip=True)


def test_limits_are_set_before_a_file_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(Limits, "apply", lambda limits: done.append(limits))
    monkeypatch.setattr(unpickle, "fill", lambda *a, **k: done.append((*a, k)))
    jobs = [("a.pt", "a.safetensors", None, True), ("b.pt", "b.safetensors", "model", False)]
    unpickle.main('{"memory": 1, "file": 2, "seconds": 3}', json.dumps(jobs))
    assert done == [
        Limits(1, 2, 3),
        (Path("a.pt"), Path("a.safetensors"), None, {"is_zip": True}),
        (Path("b.pt"), Path("b.safetensors"), "model", {"is_zip": False}),
    ]


def test_a_fault_is_told_in_one_line_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Limits, "apply", lambda limits: None)
    (tmp_path / "m.pt").write_bytes(b"no file of torch's")
    target = laid_out(tmp_path / "m.safetensors", {"a": torch.ones(2)})
    jobs = json.dumps([(str(tmp_path / "m.pt"), str(target), None, False)])
    with pytest.raises(SystemExit, match=r"^m\.pt: UnpicklingError: [^\n]+$"):
        unpickle.main('{"memory": 1, "file": 2, "seconds": 3}', jobs)

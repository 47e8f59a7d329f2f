from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from alnico.checkpoint import writer
from alnico.checkpoint.header import read_header
from alnico.checkpoint.reader import read_tensors
from alnico.checkpoint.writer import NAMES, write_tensors
from alnico.errors import OutputError, RecipeError

SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)
TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(list(NAMES)), SHAPES),
    max_size=5,
)


def filled(dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """Random bytes read as `dtype`: NaNs of every payload, denormals and infinities among them."""
    n = int(torch.tensor(shape).prod()) if shape else 1
    top = 2 if dtype == torch.bool else 256
    raw = torch.randint(0, top, (n * dtype.itemsize,), dtype=torch.uint8)
    return raw.view(dtype).reshape(shape)


def bits(tensor: Tensor) -> list[int]:
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


@settings(max_examples=50, deadline=None)
@given(forms=TENSORS, metadata=st.dictionaries(st.text(max_size=4), st.text(max_size=4)))
def test_every_tensor_comes_back_to_the_bit(
    forms: dict, metadata: dict, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("round") / "x.safetensors"
    tensors = {name: filled(*form) for name, form in forms.items()}
    write_tensors(path, tensors, metadata)
    for found in (read_tensors(path), load_file(path)):
        assert {n: (t.dtype, t.shape, bits(t)) for n, t in found.items()} == {
            n: (t.dtype, t.shape, bits(t)) for n, t in tensors.items()
        }
    assert read_header(path).metadata == metadata


def test_the_bytes_depend_on_nothing_but_the_tensors(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(3), "a": torch.arange(2), "c": torch.ones(1).bool()}
    notes = {key: key for key in "hgfedcba"}
    write_tensors(tmp_path / "one", tensors, notes)
    write_tensors(tmp_path / "two", dict(reversed(tensors.items())), notes)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with safe_open(tmp_path / "one", framework="pt") as file:
        assert file.metadata() == notes


def test_views_and_shared_memory_are_written_in_full(tmp_path: Path) -> None:
    whole = torch.randn(4, 6, requires_grad=True)
    tensors = {"t": whole.T, "tied": whole, "part": whole[1:3, ::2], "row": whole[0].expand(3, 6)}
    tensors["conj"] = torch.randn(3, dtype=torch.complex64).conj()
    write_tensors(tmp_path / "x", tensors)
    for name, tensor in load_file(tmp_path / "x").items():
        assert torch.equal(tensor, tensors[name].detach())


def test_what_is_there_stays_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_tensors(path, {"a": torch.zeros(1)})
    with pytest.raises(OutputError, match="is there already"):
        write_tensors(path, {"a": torch.ones(1)})
    assert read_tensors(path)["a"].item() == 0
    write_tensors(path, {"a": torch.ones(1)}, force=True)
    assert read_tensors(path)["a"].item() == 1


def test_what_does_not_read_back_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "read_tensors", lambda _: {"a": torch.ones(1)})
    with pytest.raises(OutputError, match="a does not read back as it was written"):
        write_tensors(tmp_path / "x", {"a": torch.zeros(1)})
    assert list(tmp_path.iterdir()) == []


def test_what_the_format_cannot_hold_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"s cannot be written: safetensors has no torch\.float32"
    ):
        write_tensors(tmp_path / "x", {"s": torch.eye(2).to_sparse()})
    with pytest.raises(
        RecipeError, match=r"c cannot be written: safetensors has no torch\.complex"
    ):
        write_tensors(tmp_path / "x", {"c": torch.ones(1, dtype=torch.complex128)})
    with pytest.raises(RecipeError, match="a tensor cannot be named __metadata__"):
        write_tensors(tmp_path / "x", {"__metadata__": torch.ones(1)})
    assert list(tmp_path.iterdir()) == []

"""A list of attacks on the safetensors header, and good files as the library writes them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from alnico.checkpoint.header import Entry, read_header
from alnico.checkpoint.reader import DTYPES, read_tensors
from alnico.errors import UnknownNameError, UnsafeFileError


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def packed(header: object, data: bytes = bytes(8), *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


GOOD = {"a": entry(), "b": entry(shape=[1], offsets=[8, 12])}
CHANGES = st.lists(st.tuples(st.integers(0, 10**3), st.integers(0, 255)), max_size=3)


@settings(max_examples=200, deadline=None)
@given(changes=CHANGES, length=st.none() | st.integers(0, 200))
def test_a_damaged_file_is_refused_or_read_but_never_crashes(
    changes: list, length: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.safetensors"
    data = bytearray(packed(GOOD, bytes(12)))
    for place, value in changes:
        data[place % len(data)] = value
    path.write_bytes(bytes(data[:length]))
    try:
        found = read_tensors(path)
    except UnsafeFileError:
        return
    assert sum(tensor.numel() * tensor.element_size() for tensor in found.values()) == 12


@pytest.mark.parametrize("name", DTYPES)
def test_the_librarys_own_files_are_read_to_the_bit(name: str, tmp_path: Path) -> None:
    raw = torch.randint(0, 2 if name == "BOOL" else 256, (48,), dtype=torch.uint8)
    tensors = {"x": raw.view(DTYPES[name]).reshape(2, -1), "empty": torch.empty(0, 3)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"made by": "a test"})
    header = read_header(tmp_path / "x.safetensors")
    assert header.metadata == {"made by": "a test"}
    assert header.tensors["x"].dtype == name and header.tensors["empty"].shape == (0, 3)
    found = read_tensors(tmp_path / "x.safetensors")
    assert found["x"].dtype == DTYPES[name] and found["x"].shape == tensors["x"].shape
    assert torch.equal(found["x"].reshape(-1).view(torch.uint8), raw)


def test_only_the_named_tensors_are_read_into_memory_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(packed(GOOD, struct.pack("<3f", 1, 2, 3)))
    assert read_header(path).tensors["b"] == Entry("F32", (1,), 8, 12)
    found = read_tensors(path, ["b"])
    path.write_bytes(b"")  # a mapped tensor would be lost with the file
    assert list(found) == ["b"] and found["b"].item() == 3.0
    path.write_bytes(packed(GOOD, bytes(12)))
    with pytest.raises(UnknownNameError, match="has no tensor 'c'\n  help: its tensors are a, b"):
        read_tensors(path, ["c"])

"""A list of attacks on the safetensors header, and good files as the library writes them."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from alnico.checkpoint.reader import DTYPES, Entry, read_header, read_tensors
from alnico.errors import DataError, UnknownNameError, UnsafeFileError


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def packed(header: object, data: bytes = bytes(8), *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


GOOD = {"a": entry(), "b": entry(shape=[1], offsets=[8, 12])}
ATTACKS = {
    "empty file": (b"", "it has 0 bytes, too few"),
    "shorter than eight bytes": (b"\x01\0\0", "it has 3 bytes"),
    "header of no length": (packed(b""), "not in braces"),
    "header past the end": (packed(GOOD, length=10_000), "more than the file has"),
    "header above the limit": (packed(GOOD, length=2**40), "more than 100000000"),
    "header of 2**64-1": (packed(GOOD, length=2**64 - 1), "more than 100000000"),
    "not JSON": (packed(b"{'a': 1}"), "not sound JSON"),
    "not UTF-8": (packed(b'{"\xff": 1}'), "not sound JSON"),
    "no braces": (packed(b"[1, 2]"), "not in braces"),
    "leading blank": (packed(b' {"a": 1}'), "not in braces"),
    "two mappings": (packed(b"{}{}"), "not sound JSON"),
    "deep nesting": (packed(b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "nested too deeply"),
    "a tensor twice": (packed(b'{"a": 1, "a": 1}'), "a name occurs twice"),
    "dtype twice": (packed(b'{"a": {"dtype": "F32", "dtype": "F32"}}'), "a name occurs twice"),
    "NaN": (packed(b'{"a": NaN}'), "NaN is no JSON"),
    "no entry": (packed({"a": 5}), "has not exactly dtype, shape and data_offsets"),
    "a key too few": (packed({"a": {"dtype": "F32", "shape": [2]}}), "has not exactly"),
    "a key too many": (packed({"a": {**entry(), "more": 1}}), "has not exactly"),
    "dtype unknown": (packed({"a": entry("F31")}), "unknown dtype 'F31'"),
    "dtype no string": (packed({"a": entry(["F32"])}), "unknown dtype"),
    "shape negative": (packed({"a": entry(shape=[-2])}), "a shape that is none"),
    "shape of fractions": (packed({"a": entry(shape=[2.0])}), "a shape that is none"),
    "shape of truth": (packed({"a": entry(shape=[True])}), "a shape that is none"),
    "shape no list": (packed({"a": entry(shape="2")}), "a shape that is none"),
    "shape overflowing": (packed({"a": entry(shape=[2**62, 2**62])}), "needs 8507"),
    "shape past 64 bits": (packed({"a": entry(shape=[2**64])}), "a shape that is none"),
    "too many axes": (packed({"a": entry(shape=[1] * 65)}), "a shape that is none"),
    "shape not the offsets": (packed({"a": entry(shape=[3])}), "needs 12 bytes and has 8"),
    "offsets reversed": (packed({"a": entry(offsets=[8, 0])}), "offsets that are none"),
    "offsets negative": (packed({"a": entry(offsets=[-8, 0])}), "offsets that are none"),
    "one offset": (packed({"a": entry(offsets=[8])}), "offsets that are none"),
    "offsets overlapping": (
        packed({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)),
        "'b' overlaps another at byte 4",
    ),
    "a hole": (packed({"a": entry(offsets=[4, 12])}, bytes(12)), "leaves a hole before it"),
    "data missing": (packed(GOOD, bytes(11)), "take 12 bytes, and 11 follow"),
    "trailing bytes": (packed(GOOD, bytes(13)), "take 12 bytes, and 13 follow"),
    "metadata no mapping": (packed({"__metadata__": [1]}, b""), "__metadata__ is not a mapping"),
    "metadata no strings": (packed({"__metadata__": {"a": 1}}, b""), "__metadata__ is not a"),
    "a name that is no text": (
        packed(b'{"\\ud800": %b}' % json.dumps(entry()).encode()),
        "no text",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_with_file_and_fault(attack: str, tmp_path: Path) -> None:
    data, fault = ATTACKS[attack]
    path = tmp_path / "evil.safetensors"
    path.write_bytes(data)
    for read in (read_header, read_tensors):
        with pytest.raises(UnsafeFileError, match=fault) as error:
            read(path)
        assert "evil.safetensors is not a sound safetensors file" in str(error.value)
        assert len(str(error.value)) < 600


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


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UnsafeFileError, match="it is not a plain file"):
            read_header(path)
    with pytest.raises(DataError, match="there is no file"):
        read_header(tmp_path / "none")


def test_twenty_thousand_tensors_are_read_in_linear_time(tmp_path: Path) -> None:
    many = {f"t{i}": entry("U8", [1], [i, i + 1]) for i in range(20_000)}
    (tmp_path / "many").write_bytes(packed(many, bytes(20_000)))
    start = time.process_time()
    assert len(read_header(tmp_path / "many").tensors) == 20_000
    assert time.process_time() - start < 5


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

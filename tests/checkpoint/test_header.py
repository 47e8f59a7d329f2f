"""A list of attacks on the safetensors header, and good files as the library writes them."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from alnico.checkpoint.header import ARRAYS, FLOATS, SIZES, Entry, read_header
from alnico.checkpoint.reader import DTYPES, read_tensors
from alnico.errors import DataError, UnsafeFileError


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
    "a tensor in a tensor": (packed({"a": entry(shape=[entry()])}), "a shape that is none"),
    "a tensor in a tensor's place": (packed({"a": {"b": entry()}}), "has not exactly dtype"),
    "a tensor as metadata": (packed({"__metadata__": entry()}, b""), "__metadata__ is not a"),
    "no tensors but one": (packed(entry()), "no mapping of names to tensors"),
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


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with pytest.raises(UnsafeFileError, match="it is not a plain file"):
            read_header(path)
    with pytest.raises(DataError, match="there is no file"):
        read_header(tmp_path / "none")


def test_a_header_says_what_each_tensor_is_and_where(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(packed({"__metadata__": {"by": "a test"}, **GOOD}, bytes(12)))
    header = read_header(path)
    assert header.tensors == {"a": Entry("F32", (2,), 0, 8), "b": Entry("F32", (1,), 8, 12)}
    assert header.metadata == {"by": "a test"} and header.n_bytes == path.stat().st_size - 12


def test_names_may_be_in_any_tongue_and_like_the_headers_own_words(tmp_path: Path) -> None:
    for names in (["größe", "层.weight", "a,b[{", ""], ["dtype", "shape", "data_offsets"]):
        many = {name: entry("U8", [1], [i, i + 1]) for i, name in enumerate(names)}
        (tmp_path / "x").write_bytes(packed(many, bytes(len(names))))
        assert list(read_header(tmp_path / "x").tensors) == names


def test_tensors_without_values_may_lie_anywhere_between_others(tmp_path: Path) -> None:
    many = {"b": entry(offsets=[0, 8]), "empty": entry(shape=[0, 3], offsets=[0, 0])}
    (tmp_path / "x").write_bytes(packed(many, bytes(8)))
    assert read_header(tmp_path / "x").tensors["empty"].shape == (0, 3)


def test_four_thousand_tensors_are_read_in_an_instant(tmp_path: Path) -> None:
    many = {f"t{i}": entry("U8", [1], [i, i + 1]) for i in range(4_000)}
    (tmp_path / "many").write_bytes(packed(many, bytes(4_000)))
    times = []
    for _ in range(5):
        start = time.process_time()
        assert len(read_header(tmp_path / "many").tensors) == 4_000
        times.append(time.process_time() - start)
    assert min(times) < 0.06  # 0.012 on an idle machine


def test_a_million_tensors_are_refused_before_they_take_room(tmp_path: Path) -> None:
    one = json.dumps(entry("U8", [0], [0, 0]))
    text = "{" + ",".join(f'"{i}":{one}' for i in range(1_000_000)) + "}"
    (tmp_path / "many").write_bytes(packed(text.encode()))
    start = time.process_time()
    with pytest.raises(UnsafeFileError, match="it claims 1000000 tensors, more than 500000"):
        read_header(tmp_path / "many")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("inner", ["[]", "{}", "1000"])
def test_a_header_of_many_small_values_is_refused_before_they_take_room(
    inner: str, tmp_path: Path
) -> None:
    text = '{"a":[' + ",".join([inner] * (40_000_000 // (len(inner) + 1))) + "]}"
    (tmp_path / "wide").write_bytes(packed(text.encode()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnsafeFileError, match="it has more than 6000000 values"):
        read_header(tmp_path / "wide")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # in KiB


@pytest.mark.parametrize("name", SIZES)
def test_sizes_and_arrays_are_those_of_torch(name: str) -> None:
    assert SIZES[name] == DTYPES[name].itemsize == np.dtype(ARRAYS[name]).itemsize
    assert (name in FLOATS) == DTYPES[name].is_floating_point
    assert SIZES.keys() == DTYPES.keys()


def test_the_librarys_own_file_is_read(tmp_path: Path) -> None:
    tensors = {"x": torch.zeros(2, 3, dtype=torch.bfloat16), "n": torch.tensor(3)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"made by": "a test"})
    header = read_header(tmp_path / "x.safetensors")
    assert header.metadata == {"made by": "a test"}
    assert header.tensors["x"].dtype == "BF16" and header.tensors["n"].shape == ()


@pytest.mark.parametrize("module", ["header", "opened", "index", "hub", "regular"])
def test_models_are_opened_without_torch_and_numba(module: str) -> None:
    code = (
        f"import sys, alnico.checkpoint.{module}\n"
        "found = {'torch', 'numba', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

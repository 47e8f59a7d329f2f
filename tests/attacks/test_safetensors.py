"""Files of safetensors that were cut, or lie about what they hold; and odd ones that are sound."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

Refused = Callable[..., str]
Merged = Callable[..., object]
Command = Callable[..., Any]

ONE = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
MUCH = 10**17


def packed(header: object, data: bytes = bytes(8), *, length: int | None = None) -> bytes:
    """A file: the length of its header, the header, its tensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode("utf-8")
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(**changes: object) -> bytes:
    """A file of one tensor, of which something is said otherwise."""
    entry = {key: value for key, value in (ONE["w"] | changes).items() if value is not None}
    return packed({"w": entry})


def two(first: list[int], second: list[int], n_bytes: int = 16) -> bytes:
    """A file of two tensors at these places."""
    entry = {"dtype": "F32", "shape": [2]}
    header = {"v": {**entry, "data_offsets": first}, "w": {**entry, "data_offsets": second}}
    return packed(header, bytes(n_bytes))


def text(old: str, new: str) -> bytes:
    """A file of one tensor whose header has another text in one place."""
    header = json.dumps(ONE)
    assert old in header
    return packed(header.replace(old, new, 1).encode("utf-8"))


LIES = {
    "nothing": (b"", "it has 0 bytes, too few for a header"),
    "seven bytes": (bytes(7), "it has 7 bytes, too few for a header"),
    "a header of no bytes": (packed(b"", b""), "its header is not in braces"),
    "a header past the end": (
        packed(ONE, length=10**6),
        "claims 1000000 bytes, more than the file",
    ),
    "a header of 100 MB": (
        packed(ONE, length=10**8 + 1),
        "claims 100000001 bytes, more than 1000000",
    ),
    "a header of all memory": (packed(ONE, length=2**64 - 1), "claims 18446744073709551615 bytes"),
    "a length that is negative": (packed(ONE, length=2**63), "claims 9223372036854775808 bytes"),
    "a list": (packed([1]), "its header is not in braces"),
    "no braces": (packed(b'"w"'), "its header is not in braces"),
    "a blank before it": (packed(b" " + json.dumps(ONE).encode()), "its header is not in braces"),
    "something behind it": (packed(json.dumps(ONE).encode() + b"{}"), "not sound JSON"),
    "a tab behind it": (packed(json.dumps(ONE).encode() + b"\t"), "its header is not in braces"),
    "a mark of bytes' order": (packed(b"\xef\xbb\xbf{}"), "its header is not in braces"),
    "no JSON": (packed(b"{w: 1}"), "not sound JSON"),
    "JSON of Python's": (text('"F32"', "NaN"), "NaN is no JSON"),
    "not UTF-8": (text("w", "w").replace(b'"w"', b'"\xff"'), "not sound JSON"),
    "UTF-16": (packed(json.dumps(ONE).encode("utf-16-le")), "its header is not in braces"),
    "half of a letter": (text('"w"', r'"\ud800"'), "a name that is no text"),
    "nested lists": (packed(b'{"w":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "nested too deeply"),
    "nested mappings": (packed(b'{"w":' * 10**5 + b"1" + b"}" * 10**5), "nested too deeply"),
    "a name twice": (
        packed(b"{" + b",".join([json.dumps(ONE).encode()[1:-1]] * 2) + b"}"),
        "twice",
    ),
    "a key twice": (text('"dtype"', '"dtype": "F32", "dtype"'), "a name occurs twice"),
    "a name twice, escaped": (
        packed(json.dumps(ONE).encode()[:-1] + rb', "\u0077"' + json.dumps(ONE).encode()[4:]),
        "a name occurs twice",
    ),
    "a tensor that is a text": (packed({"w": "F32"}), "tensor 'w' has not exactly dtype, shape"),
    "a tensor that is null": (packed({"w": None}), "tensor 'w' has not exactly dtype, shape"),
    "no dtype": (one(dtype=None), "tensor 'w' has not exactly dtype, shape and data_offsets"),
    "a key too many": (one(more=1), "tensor 'w' has not exactly dtype, shape and data_offsets"),
    "an unknown dtype": (one(dtype="F33"), "tensor 'w' has the unknown dtype 'F33'"),
    "a dtype in small letters": (one(dtype="f32"), "tensor 'w' has the unknown dtype 'f32'"),
    "a dtype that is a list": (one(dtype=["F32"]), "tensor 'w' has the unknown dtype"),
    "a dtype that is long": (one(dtype="F" * 10**6), "tensor 'w' has the unknown dtype 'FFF"),
    "a negative length": (one(shape=[-2]), r"tensor 'w' has a shape that is none: [-2]"),
    "a product of negatives": (one(shape=[-1, -2]), "tensor 'w' has a shape that is none"),
    "a fraction": (one(shape=[2.0]), "tensor 'w' has a shape that is none: [2.0]"),
    "a truth": (one(shape=[True, 2]), "tensor 'w' has a shape that is none"),
    "a length that is a text": (one(shape=["2"]), "tensor 'w' has a shape that is none"),
    "a shape that is a number": (one(shape=2), "tensor 'w' has a shape that is none: 2"),
    "a shape that overflows": (one(shape=[2**32, 2**32, 2]), "tensor 'w' needs"),
    "a shape that wraps to fit": (
        one(shape=[2**62 + 2]),
        "needs 18446744073709551624 bytes and has",
    ),
    "a shape of 2**80": (one(shape=[2**80]), "tensor 'w' has a shape that is none"),
    "a shape of 5000 digits": (text("[2]", f"[{'9' * 5000}]"), "not sound JSON"),
    "a shape of 10 000 axes": (one(shape=[1] * 9999 + [2]), "tensor 'w' has a shape that is none"),
    "a shape that is too large": (one(shape=[3]), "tensor 'w' needs 12 bytes and has 8"),
    "a shape that is too small": (one(shape=[1]), "tensor 'w' needs 4 bytes and has 8"),
    "offsets reversed": (one(data_offsets=[8, 0]), "tensor 'w' has offsets that are none: [8, 0]"),
    "one offset": (one(data_offsets=[8]), "tensor 'w' has offsets that are none: [8]"),
    "three offsets": (one(data_offsets=[0, 8, 8]), "tensor 'w' has offsets that are none"),
    "a negative offset": (one(data_offsets=[-8, 0]), "tensor 'w' has offsets that are none"),
    "offsets outside": (one(data_offsets=[MUCH, MUCH + 8]), "tensor 'w' leaves a hole before it"),
    "offsets past the end": (
        one(shape=[MUCH], data_offsets=[0, 4 * MUCH]),
        "its tensors take 400000000000000000 bytes, and 8 follow the header",
    ),
    "a hole at the start": (
        one(data_offsets=[4, 12]),
        "tensor 'w' leaves a hole before it at byte 4",
    ),
    "a hole between": (two([0, 8], [12, 20], 20), "tensor 'w' leaves a hole before it at byte 12"),
    "an overlap": (two([0, 8], [4, 12], 12), "tensor 'w' overlaps another at byte 4"),
    "one place for two": (two([0, 8], [0, 8], 8), "tensor 'w' overlaps another at byte 0"),
    "bytes behind": (packed(ONE, bytes(9)), "its tensors take 8 bytes, and 9 follow the header"),
    "bytes missing": (packed(ONE, bytes(7)), "its tensors take 8 bytes, and 7 follow the header"),
    "no data at all": (packed(ONE, b""), "its tensors take 8 bytes, and 0 follow the header"),
    "notes that are a list": (packed({"__metadata__": [], **ONE}), "not a mapping of strings"),
    "notes of numbers": (packed({"__metadata__": {"n": 1}, **ONE}), "not a mapping of strings"),
    "notes in notes": (packed({"__metadata__": {"n": {}}, **ONE}), "not a mapping of strings"),
    "notes like a tensor": (packed({"__metadata__": ONE["w"], "v": ONE["w"]}), "__metadata__"),
    "half a million tensors and one": (
        packed(b"{" + b",".join([b'"w":{"data_offsets":[]}'] * 500_001) + b"}"),
        "it claims 500001 tensors, more than 500000",
    ),
    "the last of a hundred thousand tensors": (
        packed(
            {
                f"w{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1 + (i == 99_999)]}
                for i in range(100_000)
            },
            bytes(100_001),
        ),
        "tensor 'w99999' needs 1 bytes and has 2",
    ),
    "ten million values": (
        packed(b'{"w":[' + b"1," * 10**7 + b"1]}"),
        "more than 6000000 values",
    ),
}

SOUND = {
    "blanks behind the header": packed(json.dumps(ONE).encode() + b" " * 100, b"\0\0\x80?\0\0\0@"),
    "no blanks in the header": packed(json.dumps(ONE, separators=(",", ":")).encode()),
    "a header of an odd length": packed(json.dumps(ONE).encode() + b" " * 3),
    "keys in another order": packed({"w": dict(reversed(ONE["w"].items()))}),
    "tensors in another order": two([8, 16], [0, 8]),
    "notes": packed({"__metadata__": {"format": "np", "": "ä"}, **ONE}),
    "notes at the end": packed({**ONE, "__metadata__": {}}),
    "a name with an escape": text('"w"', r'"\u0077\n"'),
    "a name that is empty": text('"w"', '""'),
    "a name like a path": text('"w"', '"../../etc/passwd"'),
    "a name like a key": packed({"dtype": ONE["w"]}),
    "a name in Greek": packed(json.dumps({"βάρος.weight": ONE["w"]}, ensure_ascii=False).encode()),
    "a name of 5000 letters": packed({"w" * 5000: ONE["w"]}),
    "a scalar": packed({"w": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]}}),
    "an empty tensor": packed(
        {"v": {"dtype": "F32", "shape": [0, 7], "data_offsets": [8, 8]}, **ONE}
    ),
    "only an empty tensor": packed(
        {"v": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]}}, b""
    ),
    "an odd place in the file": packed(
        {
            "u": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
            "w": {"dtype": "F32", "shape": [2], "data_offsets": [3, 11]},
        },
        b"\1\2\3" + struct.pack("<2f", 1.5, -2),
    ),
    "64 axes": packed({"w": {"dtype": "U8", "shape": [1] * 60 + [8], "data_offsets": [0, 8]}}),
    "truths": packed({"w": {"dtype": "BOOL", "shape": [8], "data_offsets": [0, 8]}}),
    "brain floats": packed({"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}),
    "floats of 8 bits": packed({"w": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}),
}


@pytest.mark.parametrize("case", LIES)
def test_a_file_that_lies_is_refused_with_the_file_and_the_tensor(
    refused: Refused, work: Path, case: str
) -> None:
    data, fault = LIES[case]
    (work / "a/model.safetensors").write_bytes(data)
    block = refused("merge", "a", "b", "-o", "out", code=4)
    assert block.startswith("error[unsafe-file]: a/model.safetensors is not a sound safetensors")
    assert fault in block
    assert "\n  help: it is damaged or was made to mislead" in block


@pytest.mark.parametrize("words", ["merge b base --base a --method ties", "plan a b", "merge a"])
def test_it_is_refused_wherever_it_stands(refused: Refused, work: Path, words: str) -> None:
    (work / "a/model.safetensors").write_bytes(two([0, 8], [4, 12], 12))
    block = refused(*words.split(), "-o", "out", code=4)
    assert "a/model.safetensors" in block and "tensor 'w' overlaps another" in block


def test_every_damaged_model_is_told_at_once(refused: Refused, work: Path) -> None:
    for name in ("a", "base"):
        (work / name / "model.safetensors").write_bytes(b"")
    block = refused("merge", "a", "b", "--base", "base", "--method", "ties", "-o", "out", code=4)
    assert "2 models cannot be read" in block
    assert re.search(r"a/model\.safetensors.*\n.*base/model\.safetensors", block)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_anywhere_is_refused(refused: Refused, work: Path, share: float) -> None:
    path = work / "a/model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "a/model.safetensors" in refused("merge", "a", "b", "-o", "out", code=4)


def test_no_bit_of_a_header_can_flip_unseen(
    command: Command, left: Callable[[], list[str]], work: Path
) -> None:
    path = work / "a/model.safetensors"
    save_file(load_file(path), path)  # without notes, which may say anything
    data = path.read_bytes()
    header = data[: 8 + int.from_bytes(data[:8], "little")].rstrip(b" ")
    draw = np.random.default_rng(0)
    for at, bit in zip(draw.choice(len(header), 40), draw.integers(0, 8, 40), strict=True):
        spoilt = bytearray(data)
        spoilt[at] ^= 1 << int(bit)
        path.write_bytes(spoilt)
        done = command("merge", "a", "b", "-o", "out")
        assert done.code in (3, 4)
        assert "a/model.safetensors" in done.err or "only a has" in done.err
        assert left() == ["a", "b", "base"]


@pytest.mark.parametrize("mark", [b"{", b"[", b'"', b"\\", b" ", b'"w":'])
def test_a_header_that_is_long_and_dull_is_refused_soon(
    refused: Refused, work: Path, mark: bytes
) -> None:
    data = packed(b"{" + mark * (2 * 10**7 // len(mark)) + b"}")
    (work / "a/model.safetensors").write_bytes(data)
    assert "a/model.safetensors" in refused("merge", "a", "b", "-o", "out", code=4)


def test_a_claim_without_data_costs_no_memory(refused: Refused, work: Path) -> None:
    path = work / "a/model.safetensors"
    shape = [2**20, 2**20]
    data = packed({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 2**42]}}, b"")
    path.write_bytes(data)
    assert "its tensors take 4398046511104 bytes, and 0 follow" in refused(
        "merge", "a", "b", "-o", "out", code=4
    )


@pytest.mark.parametrize("case", SOUND)
def test_a_file_that_is_odd_but_sound_is_merged(merged: Merged, work: Path, case: str) -> None:
    for name in ("a", "b"):
        (work / name / "model.safetensors").write_bytes(SOUND[case])
    merged("merge", "a", "b", "-o", "out")
    if case not in ("brain floats", "floats of 8 bits", "64 axes"):
        made, given = (load_file(work / name / "model.safetensors") for name in ("out", "a"))
        assert made.keys() == given.keys()
        for name, values in given.items():
            assert made[name].dtype == values.dtype
            np.testing.assert_array_equal(made[name], values)


def test_an_old_pickle_under_a_new_name_is_known_for_what_it_is(
    refused: Refused, work: Path
) -> None:
    (work / "a/model.safetensors").write_bytes(b"cos\nsystem\n(S'touch canary'\ntR.")
    block = refused("merge", "a", "b", "-o", "out", code=4)
    assert "a/model.safetensors is refused" in block and "system" in block

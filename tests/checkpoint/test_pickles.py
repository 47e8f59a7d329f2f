"""Pickles that would do something, written by the library and never loaded."""

from __future__ import annotations

import os
import pickle
import pickletools
import random
import time
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnico.checkpoint.pickles import MAX_OPCODES, is_pickle, trace

SYSTEM = f"{os.system.__module__}.system"  # what the library calls `os.system`


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("echo",)


class WithState:
    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def __setstate__(self, state: object) -> None:
        raise AssertionError("it was called")


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_is_named_with_its_place_in_every_protocol(protocol: int) -> None:
    data = pickle.dumps({"weights": [1.0, 2], "more": Evil()}, protocol)
    found = trace(data)
    assert found.worst is not None and (found.worst.how, found.worst.name) == ("call", SYSTEM)
    expected = [place for op, _, place in pickletools.genops(data) if op.name == "REDUCE"]
    assert found.worst.byte == expected[0] and found.end == "stop"
    assert is_pickle(data, found)


def test_eval_by_the_oldest_opcodes_is_found() -> None:
    for data in (b"c__builtin__\neval\n(S'1'\ntR.", b"(S'1'\ni__builtin__\neval\n."):
        found = trace(data)
        assert is_pickle(data, found)
        assert [use.name for use in found.uses if use.how == "call"] == ["__builtin__.eval"]
    found = trace(b"(cos\nsystem\nS'echo'\no.")
    assert found.worst is not None and found.worst.name == "os.system"


def test_a_name_that_is_put_together_on_the_stack_is_found() -> None:
    data = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93\x8c\x04echo\x85R."
    found = trace(data)
    assert found.worst is not None and found.worst.name == "os.system"
    computed = trace(b"\x80\x04\x8c\x02osN\x93N\x85R.")
    assert computed.worst is not None and computed.worst.name == "a name that it computes"


def test_a_call_of_what_a_call_gives_and_a_setstate_are_found() -> None:
    data = b"\x80\x02cbuiltins\ngetattr\n(X\x02\x00\x00\x00osX\x06\x00\x00\x00systemtR(tR."
    names = [use.name for use in trace(data).uses if use.how == "call"]
    assert names == ["builtins.getattr", "builtins.getattr(...)"]
    calls = [use.name for use in trace(pickle.dumps(WithState())).uses if use.how == "call"]
    assert calls[-1].endswith("WithState(...).__setstate__")


def test_what_was_called_before_a_fault_counts() -> None:
    data = b"cos\nsystem\n(S'echo'\ntR\xff\xff\xff"
    found = trace(data)
    assert found.end == "fault" and is_pickle(data, found)
    assert found.worst is not None and found.worst.name == "os.system"


def test_an_import_that_is_not_called_is_named_too() -> None:
    found = trace(b"\x80\x02cantigravity\nfly\n.")
    assert found.worst is not None
    assert (found.worst.how, found.worst.name, found.worst.byte) == ("import", "antigravity.fly", 2)


def test_plain_values_and_arrays_call_nothing_harmful() -> None:
    assert trace(pickle.dumps({"a": [1, 2.5, "x", None], "b": (b"y", {3})})).uses == ()
    state = OrderedDict(a=np.arange(3.0), b=np.float64(2))
    for protocol in range(6):
        found = trace(pickle.dumps(state, protocol))
        assert found.worst is None and any(use.how == "call" for use in found.uses)


def test_several_pickles_in_a_row_are_all_read() -> None:
    data = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps(Evil(), 2)
    found = trace(data)
    assert found.worst is not None and found.worst.name == SYSTEM


TEXTS = [
    b"",
    b"# A model card\n\nclass of shops: N. R. i. o.\n",
    b"id\nname\n1\n",
    b"config\nvalue\nR.\n",
    b"import os\nimport sys\nos.system('ls')\n",
    b"(i am\nnot code)\n",
    b"cat\ndog\ntReR",
    b'{"a": 1}',
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_no_pickle(text: bytes) -> None:
    assert not is_pickle(text, trace(text))


@given(data=st.binary(max_size=200) | st.binary(max_size=200).map(lambda d: b"\x80\x04" + d))
def test_any_bytes_are_followed_without_a_crash(data: bytes) -> None:
    found = trace(data)
    assert found.end in ("stop", "fault")


def test_bombs_end_early_and_hold_little() -> None:
    long = pickle.BINUNICODE + (10**6).to_bytes(4, "little") + b"x" * 10**6
    bombs = [
        b"N0" * 2 * 10**6,
        b"\x80\x02N." * 10**6,
        b"\x80\x04" + long + b"\x94" + b"h\x00h\x00\x930" * 10**5,
        b"(" * 10**6,
        b"I" + b"9" * 10**6 + b"\n.",
        b"\x80\x04\x8e" + b"\xff" * 8,
    ]
    began = time.process_time()
    ends = [trace(bomb) for bomb in bombs]
    assert time.process_time() - began < 5
    assert ends[0].end == ends[1].end == "too long" and ends[0].n_opcodes == MAX_OPCODES
    assert all(len(use.name) <= 201 for found in ends for use in found.uses)


def test_random_changes_of_a_bad_pickle_never_make_it_harmless_text() -> None:
    draw, data = random.Random(0), pickle.dumps(Evil(), 4)
    for _ in range(200):
        changed = bytearray(data)
        changed[draw.randrange(20, len(data))] = draw.randrange(256)
        assert is_pickle(bytes(changed), trace(bytes(changed)))

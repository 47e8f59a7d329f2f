from __future__ import annotations

import gc
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alnico.checkpoint.strict_json import parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(value=VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"{", "Expecting property name"),
        (b"", "Expecting value"),
        (b"\xff{}", "can't decode byte"),
        (b'{"a": 1, "a": 1}', "a name occurs twice"),
        (b'{"x": [{"a": 1, "a": 2}]}', "a name occurs twice"),
        (b"[NaN]", "NaN is no JSON"),
        (b"[-Infinity]", "-Infinity is no JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"9" * 10_000, "integer string conversion"),
        (b"{} {}", "Extra data"),
    ],
)
def test_what_is_not_sound_is_one_kind_of_error(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse(data)


def test_infinity_is_read_where_it_is_allowed_and_nan_never() -> None:
    assert parse(b"[Infinity, -Infinity]", infinite=True) == [math.inf, -math.inf]
    with pytest.raises(ValueError, match="NaN is no JSON"):
        parse(b"[NaN]", infinite=True)


def test_more_values_than_fit_are_not_read() -> None:
    with pytest.raises(ValueError, match="more than 6000000 values"):
        parse(b"[" + b"0," * 6_000_000 + b"0]")


def test_each_mapping_may_be_read_into_something_else() -> None:
    found = parse(b'{"a": {"x": 1}, "b": [{"x": 2}]}', mapping=lambda m: m.get("x", m))
    assert found == {"a": 1, "b": [2]}


def test_the_collector_is_as_it_was_after_a_fault() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="Expecting"):
        parse(b"[")
    assert gc.isenabled()

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alnico.recipe.located import Located, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),  # a text in YAML 1.1
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1.5e+3", -1500.0),
        ("-.inf", -math.inf),
        ("1_000", 1000),
        ("+7", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("yes", True),
        ("Off", False),
        ("TRUE", True),
        ("", None),
        ("~", None),
        ("Null", None),
    ],
)
def test_scalars_mean_what_recipes_mean(text: str, value: object) -> None:
    assert resolve(text) == value and type(resolve(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "1:30",
        "2001-12-14",
        "010",
        "0b1",
        "y",
        "n",
        "tRue",
        "1e",
        "e5",
        "1.2.3",
        "--1",
        "9" * 200 + "x",
    ],
)
def test_other_words_are_texts(text: str) -> None:
    assert resolve(text) == text


def test_no_number_is_a_number_of_a_kind_of_its_own() -> None:
    found = resolve(".nan")
    assert isinstance(found, float) and math.isnan(found)


@given(st.floats(allow_nan=False) | st.integers() | st.booleans() | st.none())
def test_what_another_library_writes_means_the_same(value: object) -> None:
    text = yaml.safe_dump(value).removesuffix("...\n").strip()
    found = resolve(text)
    assert found == value and type(found) is type(value)


@given(st.from_regex(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?", fullmatch=True))
def test_numbers_are_python_s_or_texts(text: str) -> None:
    found = resolve(text)
    if not isinstance(found, str):
        assert found == float(text) or (isinstance(found, int) and found == int(text))
    else:
        assert text.lstrip("+-").startswith("0") and len(text) > 1  # 010 is 8 to some, 10 to others


def test_a_number_of_any_length_takes_no_time() -> None:
    assert resolve("9" * 100_000) == math.inf


def test_plain_and_lines_go_through_shared_values_twice() -> None:
    shared = Located([Located(1, 1, text="1")], 1)
    both = Located({"a": shared, "b": shared}, 1, key_lines={"a": 1, "b": 5})
    assert both.plain() == {"a": [1], "b": [1]}
    assert both.lines() == {(): 1, ("a",): 1, ("a", 0): 1, ("b",): 5, ("b", 0): 1}

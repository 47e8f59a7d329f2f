from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnico.errors import RecipeError
from alnico.recipe.mergekit.schema import Rule, Scalar
from alnico.recipe.mergekit.settings import at, cast, find, resolve
from alnico.recipe.mergekit.table import CONTRACTS, Kind, Parameter


@pytest.fixture(scope="module")
def config() -> Any:
    return pytest.importorskip("mergekit.config")


WEIGHT = CONTRACTS["linear"].parameters["weight"]
NUMBERS = st.floats(-10, 10, allow_nan=False)
SHARES = st.floats(0, 1)


def rules(*pairs: tuple[str | None, Scalar | tuple[Scalar, ...]]) -> tuple[Rule, ...]:
    return tuple(Rule(value, filter) for filter, value in pairs)


@given(st.lists(NUMBERS, min_size=1, max_size=6).map(tuple), SHARES)
def test_a_gradient_of_numbers_is_linear_between_them(values: tuple[float, ...], t: float) -> None:
    expected = np.interp(t, np.linspace(0, 1, len(values)), values)
    assert at(values, t) == pytest.approx(float(expected), abs=1e-9)


@given(st.lists(NUMBERS, min_size=1, max_size=6).map(tuple))
def test_a_gradient_begins_and_ends_with_its_ends(values: tuple[float, ...]) -> None:
    assert at(values, 0.0) == values[0] and at(values, 1.0) == values[-1]


@given(st.lists(st.booleans(), min_size=1, max_size=6).map(tuple), SHARES)
def test_a_gradient_of_switches_takes_one_of_them(values: tuple[bool, ...], t: float) -> None:
    assert at(values, t) is values[int(t * (len(values) - 1))]


def test_a_gradient_without_values_says_nothing_and_a_value_is_the_same_everywhere() -> None:
    assert at((), 0.5) is None and at(0.25, 0.9) == 0.25


def test_the_first_rule_whose_filter_is_a_part_of_the_name_holds() -> None:
    found = rules(("mlp", 1.0), ("*", 2.0), (None, 3.0))
    for name, value in (("layers.0.mlp.up", 1.0), ("layers.0.attn", 2.0)):
        rule = find(found, name)
        assert rule is not None and rule.value == value
    assert find(rules(("mlp", 1.0)), "layers.0.attn") is None
    # no glob and no regular expression
    assert find(rules(("layers.*.mlp", 1.0)), "layers.0.mlp") is None


def test_the_nearest_level_that_says_something_decides() -> None:
    levels = [
        {"weight": rules(("mlp", 1.0))},
        {"weight": rules((None, ()))},
        {},
        {"weight": rules((None, (4.0, 6.0)))},
    ]
    assert resolve(WEIGHT, levels, tensor="mlp.up", t=0.5) == 1.0
    assert resolve(WEIGHT, levels, tensor="attn", t=0.5) == 5.0
    assert resolve(WEIGHT, levels[:3], tensor="attn", t=0.5) is None


def test_an_empty_gradient_that_fits_hides_the_rules_after_it() -> None:
    level = {"weight": rules(("mlp", ()), (None, 1.0))}
    assert resolve(WEIGHT, [level], tensor="mlp.up", t=0.0) is None


def test_a_gradient_of_whole_numbers_must_give_whole_numbers() -> None:
    steps = Parameter("max_iter", int, default=10)
    level = {"max_iter": rules((None, (2, 5)))}
    assert resolve(steps, [level], tensor="w", t=1.0) == 5
    with pytest.raises(RecipeError, match="max_iter must be a whole number, and its gradient give"):
        resolve(steps, [level], tensor="w", t=0.5)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (float, "1e-5", 1e-5),
        (float, 1, 1.0),
        (float, True, 1.0),
        (float, " 0.5 ", 0.5),
        (int, "3.0", 3),
        (int, 4.0, 4),
        (bool, 0, False),
        (bool, 1.0, True),
        (bool, "Yes", True),
        (bool, "off", False),
    ],
)
def test_values_are_read_as_generously_as_mergekit_does(
    kind: Kind, value: object, expected: Scalar
) -> None:
    found = cast(kind, value)
    assert found == expected and type(found) is kind


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (float, "half", "must be a number, got 'half'"),
        (float, float("inf"), "must be a number, got inf"),
        (float, 10**400, "must be a number"),
        (float, [1], "must be a number"),
        (int, 1.5, "must be a whole number, got 1.5"),
        (bool, 2, "must be true or false, got 2"),
        (bool, 0.5, "must be true or false, got 0.5"),
        (bool, None, "must be true or false, got None"),
    ],
)
def test_what_is_no_value_of_a_type_is_refused(kind: Kind, value: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        cast(kind, value)


@given(st.sampled_from([float, int, bool]), st.one_of(NUMBERS, st.integers(), st.text()))
def test_casting_twice_is_casting_once(kind: Kind, value: object) -> None:
    try:
        once = cast(kind, value)
    except ValueError:
        return
    assert cast(kind, once) == once


@given(
    values=st.lists(NUMBERS, max_size=5),
    filter=st.sampled_from([None, "*", "mlp", "attn"]),
    tensor=st.sampled_from(["layers.1.mlp.w", "embed"]),
    t=SHARES,
)
def test_mergekit_finds_the_same_value_to_the_bit(
    config: Any, values: list[float], filter: str | None, tensor: str, t: float
) -> None:
    setting = [
        config.ConditionalParameter(value=values, filter=filter),
        config.ConditionalParameter(value=7.0),
    ]
    expected = config.evaluate_setting(tensor, setting, t, validate=float)
    level = {"weight": rules((filter, tuple(values)), (None, 7.0))}
    assert resolve(WEIGHT, [level], tensor=tensor, t=t) == expected

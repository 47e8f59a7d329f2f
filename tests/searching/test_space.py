from __future__ import annotations

import math

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from alnico.errors import RecipeError
from alnico.searching import Between, Choice, Space
from alnico.searching.space import check_space, distributions

SPACE: Space = {
    "structure": Choice(("concat", "attention")),
    "bias": Choice((True, False)),
    "dropout": Between(0.0, 0.4),
    "rate": Between(1e-4, 1e-1, log=True),
    "depth": Between(1, 3, whole=True),
    "width": Between(16, 256, log=True, whole=True),
    "fixed": Between(7, 7),
}


def test_each_dimension_is_what_optuna_calls_it() -> None:
    check_space(SPACE)
    assert distributions(SPACE) == {
        "structure": CategoricalDistribution(("concat", "attention")),
        "bias": CategoricalDistribution((True, False)),
        "dropout": FloatDistribution(0.0, 0.4),
        "rate": FloatDistribution(1e-4, 1e-1, log=True),
        "depth": IntDistribution(1, 3),
        "width": IntDistribution(16, 256, log=True),
        "fixed": FloatDistribution(7, 7),
    }


def test_a_whole_number_lies_within_its_interval() -> None:
    found = distributions({"depth": Between(0.5, 3.5, whole=True)})["depth"]
    assert found == IntDistribution(1, 3)


@pytest.mark.parametrize(
    ("dimension", "fault"),
    [
        (Choice(()), "x has no options"),
        (Between(2.0, 1.0), "x goes from 2 to 1"),
        (Between(0.0, math.inf), "x goes from 0 to inf"),
        (Between(math.nan, 1.0), "x goes from nan to 1"),
        (Between(0.0, 1.0, log=True), "x begins at 0, which has no logarithm"),
        (Between(-1, 1, log=True, whole=True), "x begins at -1, which has no logarithm"),
        (Between(0.2, 0.8, whole=True), "x holds no whole number between 0.2 and 0.8"),
    ],
)
def test_a_dimension_without_a_value_is_refused(dimension: Choice | Between, fault: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check_space({"fine": Choice((1,)), "x": dimension})
    assert str(caught.value) == (
        f"an empty search space: {fault}\n  help: give each at least one value"
    )


def test_all_faults_of_a_space_are_named_at_once() -> None:
    with pytest.raises(RecipeError, match="a has no options; c goes from 3 to 2"):
        check_space({"a": Choice(()), "b": Choice((0,)), "c": Between(3, 2)})


def test_a_space_without_dimensions_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"no dimensions\n  help: name what may vary"):
        check_space({})

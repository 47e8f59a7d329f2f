from __future__ import annotations

import json

import pytest

from alnico.errors import RecipeError
from alnico.fitting.options import Options, as_tuple, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), (" 2 M ", 120), (7, 7), (None, None)],
)
def test_durations_are_read_in_seconds_minutes_and_hours(
    text: str | float | None, expected: float | None
) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5 minutes", "m5", "-3s", "1d"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(RecipeError, match=r"not a duration\n  help: write it as 90s, 5m or 1.5h"):
        seconds(text)


def test_options_survive_json() -> None:
    options = Options("buys", drop=("a", "b"), time_limit=3.5, positive=1, kinds=("swa",))
    assert Options.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_an_unknown_task_is_suggested() -> None:
    with pytest.raises(
        RecipeError, match=r"no task 'regresion'\n  help: did you mean 'regression'"
    ):
        Options("y", task="regresion")


@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_a_time_limit_must_be_positive(limit: float) -> None:
    with pytest.raises(RecipeError, match="time limit must be positive"):
        Options("y", time_limit=limit)


def test_one_name_several_or_none_become_a_tuple() -> None:
    assert as_tuple("a") == ("a",)
    assert as_tuple(["a", "b"]) == ("a", "b")
    assert as_tuple(None) == ()

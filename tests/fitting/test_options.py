from __future__ import annotations

import json
from dataclasses import replace

import pytest

from alnico.errors import RecipeError, UnknownNameError
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
    more = replace(options, trials=4, together=("papa", "apart"), start_from="last/month")
    for one in (options, more):
        assert Options.from_json(json.loads(json.dumps(one.to_json()))) == one


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


@pytest.mark.parametrize("trials", [-1, 1.5, "3"])
def test_trials_are_a_whole_number_from_0(trials: object) -> None:
    with pytest.raises(
        RecipeError, match=r"trials must be a whole number from 0, got (.|\n)*no search"
    ):
        Options("y", trials=trials)
    assert Options("y", trials=0).trials == 0


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5])
def test_a_seed_is_one_that_every_library_takes(seed: object) -> None:
    with pytest.raises(RecipeError, match="seed must be a whole number from 0"):
        Options("y", seed=seed)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"together": ("apart", "pappa")}, r"no scheme 'pappa'(.|\n)*did you mean 'papa'"),
        ({"optimisers": ("adamm",)}, r"no optimiser 'adamm'(.|\n)*did you mean 'adam"),
        ({"architectures": ("gatd",)}, r"no architecture 'gatd'(.|\n)*did you mean 'gated'"),
    ],
)
def test_a_misspelt_name_points_to_the_right_one(asked: dict, text: str) -> None:
    with pytest.raises(UnknownNameError, match=text):
        Options("y", **asked)


@pytest.mark.parametrize("name", ["given", "linear"])
def test_what_is_a_network_but_not_one_to_train_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"'{name}' is not trained on tables\n  help: .*mlp"):
        Options("y", architectures=(name,))


def test_a_run_that_goes_on_takes_more_time_and_trials_and_keeps_the_rest() -> None:
    began = Options("y", trials=2, time_limit=60, seed=5, together=("apart",))
    assert began.go_on(Options("")) == began
    longer = began.go_on(Options("", trials=9, time_limit=90))
    assert longer == replace(began, trials=9, time_limit=90)
    assert began.go_on(Options("", trials=0)).trials == 0
    assert began.go_on(Options("y", seed=5, together=("apart",))) == began


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"target": "z"}, "began with target 'y', not 'z'"),
        ({"seed": 6}, "began with seed 5, not 6"),
        ({"together": ("papa",)}, r"began with together \(\), not \('papa',\)"),
        ({"start_from": "other"}, "began with start_from None, not 'other'"),
    ],
)
def test_a_run_that_goes_on_changes_nothing_else(asked: dict, text: str) -> None:
    with pytest.raises(RecipeError, match=text + r"\n  help: go on without that option"):
        Options("y", seed=5).go_on(Options(**{"target": "", **asked}))

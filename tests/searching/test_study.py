from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import optuna
import pytest

from alnico import progress
from alnico.errors import RecipeError
from alnico.searching import Between, Choice, Space, Study, Trial, Value, search
from alnico.searching.space import distributions
from alnico.searching.study import RANDOM_TRIALS

SPACE: Space = {
    "rate": Between(1e-4, 1.0, log=True),
    "depth": Between(1, 9, whole=True),
    "kind": Choice(("a", "b", "c")),
    "bias": Choice((True, False)),
}


def valley(number: int, params: Mapping[str, Value]) -> float:
    """Lowest, 0, at rate 0.01, depth 4, kind b."""
    del number
    far = (math.log10(float(params["rate"])) + 2) ** 2 + (int(params["depth"]) - 4) ** 2 / 8
    return far + (params["kind"] != "b")


def searched(n_trials: int, *, seed: int = 0, trials: tuple[Trial, ...] = ()) -> Study:
    study = Study(SPACE, seed=seed, trials=trials)
    for _ in search(valley, study, n_trials=n_trials):
        pass
    return study


def what(study: Study) -> list[tuple[object, ...]]:
    """The trials without what the clock says."""
    return [(t.number, t.params, t.state, t.value, t.why) for t in study.trials]


def best_of(values: list[float]) -> list[float]:
    """The best so far after each."""
    return np.minimum.accumulate(values).tolist()


def test_a_study_that_is_rebuilt_from_its_trials_asks_the_same() -> None:
    whole = searched(RANDOM_TRIALS + 6)
    kept = json.loads(json.dumps([trial.to_json() for trial in whole.trials]))
    trials = tuple(Trial(**record) for record in kept)
    assert trials == tuple(whole.trials)
    for n in (0, 1, RANDOM_TRIALS, RANDOM_TRIALS + 3):
        assert what(searched(RANDOM_TRIALS + 6, trials=trials[:n])) == what(whole)
    assert Study(SPACE, seed=0, trials=trials).ask() == whole.ask()


def test_trials_follow_from_seed_and_history_alone() -> None:
    study = searched(RANDOM_TRIALS)
    first = study.ask()
    random.seed(1)  # no state of the process takes part, and none is changed
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    assert study.ask() == first
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert Study(SPACE, seed=1, trials=study.trials).ask() != first
    other = [*study.trials[:-1], Trial(RANDOM_TRIALS - 1, first, "complete", 99.0, 0.0)]
    assert Study(SPACE, seed=0, trials=other).ask() != first
    asked = [trial.params for trial in study.trials]
    assert all(one != next_one for one, next_one in pairwise(asked))


@pytest.mark.parametrize("n", [0, 3, RANDOM_TRIALS, RANDOM_TRIALS + 5])
def test_a_trial_is_what_optunas_own_sampler_asks_for_after_the_same_history(n: int) -> None:
    ours = searched(n, seed=3)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    theirs = optuna.create_study(sampler=optuna.samplers.RandomSampler())
    for trial in ours.trials:  # live, with their own ask and tell
        theirs.enqueue_trial(dict(trial.params))
        theirs.tell(theirs.ask(distributions(SPACE)), trial.value)
    seed = 3 * 1_000_003 + n
    if n < RANDOM_TRIALS:
        theirs.sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        theirs.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
    assert ours.ask() == theirs.ask(distributions(SPACE)).params


def test_it_finds_a_valley_sooner_than_random_draws_do() -> None:
    n, seeds = 40, range(4)
    learned = [best_of([t.value or 0.0 for t in searched(n, seed=s).trials]) for s in seeds]
    drawn = []
    for seed in seeds:
        draw = np.random.default_rng(seed)
        points = [
            {
                "rate": 10 ** draw.uniform(-4, 0),
                "depth": draw.integers(1, 10),
                "kind": draw.choice(["a", "b", "c"]),
            }
            for _ in range(n)
        ]
        drawn.append(best_of([valley(0, point) for point in points]))
    ours, theirs = np.mean(learned, 0), np.mean(drawn, 0)
    assert ours[-1] < 0.5 * theirs[-1] and ours[20] < theirs[20]
    assert np.max(learned, 0)[-1] < 0.15


def test_a_trial_that_fails_is_marked_told_and_left_out() -> None:
    said: dict[int, float | Exception] = {
        1: ValueError("the loss is negative\nand more"),
        2: math.nan,
        4: -math.inf,
        5: KeyError("x"),
    }

    def objective(number: int, params: Mapping[str, Value]) -> float:
        value = said.get(number, float(number))
        if isinstance(value, Exception):
            raise value
        return value

    events: list[progress.Event] = []
    study = Study(SPACE, seed=0)
    with progress.listen(events.append):
        trials = list(search(objective, study, n_trials=9))
    assert trials == study.trials and [trial.number for trial in trials] == list(range(9))
    failed = {trial.number: trial.why for trial in trials if trial.state == "failed"}
    assert failed == {
        1: "ValueError: the loss is negative",
        2: "it gave nan",
        4: "it gave -inf",
        5: "KeyError: 'x'",
    }
    assert all((trial.value is None) == (trial.number in failed) for trial in trials)
    assert study.best is trials[0]
    told = [event for event in events if event.what == "warning"]
    assert [event.phase.text for event in told] == [
        f"trial {number} failed and is left out: {why}" for number, why in failed.items()
    ]
    assert told[0].help is not None and f"depth={trials[1].params['depth']}" in told[0].help
    json.dumps([trial.to_json() for trial in trials], allow_nan=False)


def test_the_sampler_learns_from_complete_trials_alone() -> None:
    # it begins when enough of them are there, however many have failed
    def asked_after(*values: float | None) -> dict[str, Value]:
        study = Study(SPACE, seed=0, trials=searched(0).trials)
        for i, value in enumerate(values):
            study.tell({"rate": 0.1, "depth": 1 + i, "kind": "a", "bias": True}, value)
        return study.ask()

    n = RANDOM_TRIALS + 2
    random_draw = asked_after(*[None] * n)
    assert asked_after(*[None] * (n - 1), 1.0) == random_draw
    assert asked_after(*map(float, range(n))) != random_draw


def test_a_study_of_failures_has_no_best_trial() -> None:
    study = Study(SPACE, seed=0)
    assert study.best is None
    study.tell(study.ask(), None, why="it was stopped")
    assert study.best is None and study.trials[0].why == "it was stopped"
    study.tell(study.ask(), 0.0)
    study.tell(study.ask(), 1.0)
    assert study.best is study.trials[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_the_search_at_once_and_is_no_trial(error: type) -> None:
    def objective(number: int, params: Mapping[str, Value]) -> float:
        if number == 2:
            raise error
        return 0.0

    study = Study(SPACE, seed=0)
    with pytest.raises(error):
        list(search(objective, study, n_trials=5))
    assert [trial.number for trial in study.trials] == [0, 1]


def test_it_ends_at_the_number_of_trials_or_when_time_is_up() -> None:
    study = searched(3)
    assert list(search(valley, study, n_trials=3)) == list(search(valley, study, n_trials=2)) == []
    assert [trial.number for trial in search(valley, study, n_trials=5)] == [3, 4]
    for _ in search(valley, study, has_time=lambda: len(study.trials) < 7):
        pass
    assert len(study.trials) == 7
    assert list(search(valley, study, n_trials=99, has_time=lambda: False)) == []
    with pytest.raises(RecipeError, match="number of trials must be at least 0, got -1"):
        next(search(valley, study, n_trials=-1))


def test_trials_are_timed() -> None:
    times = iter([0.0, 2.5, 2.5, 4.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.monotonic", lambda: next(times))
        trials = list(search(valley, Study(SPACE, seed=0), n_trials=2))
    assert [trial.seconds for trial in trials] == [2.5, 1.5]


def test_what_cannot_be_a_study_is_refused() -> None:
    with pytest.raises(RecipeError, match="kind has no options"):
        Study({"kind": Choice(())}, seed=0)
    trials = searched(3).trials
    for wrong in (trials[1:], trials[::-1], [*trials, trials[0]]):
        with pytest.raises(RecipeError, match="numbered from 0, each once"):
            Study(SPACE, seed=0, trials=wrong)


def test_it_is_silent_and_leaves_optunas_log_level_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        searched(RANDOM_TRIALS + 1)
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(before)
    assert capfd.readouterr() == ("", "")

"""A study: trials asked for one after the other, each told how it went (Optuna's TPE sampler).

What the next trial is depends on the seed, its number and the trials before it, and on nothing
else. So a study whose trials were kept goes on, in another process, as if it had never stopped.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from alnico.errors import RecipeError
from alnico.progress import warn
from alnico.registry import need
from alnico.searching.space import Space, Value, check_space, distributions

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy

RANDOM_TRIALS = 6
"""So many are drawn at random before the sampler learns from them."""


@dataclass(frozen=True)
class Trial:
    """One point of the space, and what came of it.

    Args:
        number: Counted from 0.
        params: What was chosen in each dimension.
        state: `failed` if it raised, or gave no finite number.
        value: What the objective gave; lower is better. None if it failed.
        seconds: How long it took.
        why: Why it failed.
    """

    number: int
    params: Mapping[str, Value]
    state: Literal["complete", "failed"]
    value: float | None
    seconds: float
    why: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Study:
    """A search over a space, lower values being better.

    Args:
        space: What may be chosen.
        seed: Trials are a function of it.
        trials: Those of a study that goes on, in order.

    Raises:
        RecipeError: If the space is empty, or the trials are not numbered from 0.
        MissingExtraError: If Optuna is not installed.
    """

    def __init__(self, space: Space, *, seed: int, trials: Iterable[Trial] = ()) -> None:
        check_space(space)
        need("optuna")
        self.space = dict(space)
        self.seed = seed
        self.trials = list(trials)
        if [trial.number for trial in self.trials] != list(range(len(self.trials))):
            raise RecipeError("the trials of a study are numbered from 0, each once")

    @property
    def best(self) -> Trial | None:
        """The trial of the lowest value; None if no trial is complete."""
        return best_of(self.trials)

    def ask(self) -> dict[str, Value]:
        """What the next trial is to try; the same until `tell` is called."""
        with _quiet():
            study = self._replayed()
            asked: dict[str, Value] = study.ask(distributions(self.space)).params
        return asked

    def tell(
        self,
        params: Mapping[str, Value],
        value: float | None,
        *,
        seconds: float = 0.0,
        why: str | None = None,
    ) -> Trial:
        """Note how the trial went that was asked for.

        Args:
            params: What `ask` gave.
            value: What came of it; None, NaN or infinite mark it as failed.
            seconds: How long it took.
            why: Why it failed.
        """
        failed = value is None or not math.isfinite(value)
        if failed and why is None:
            why = f"it gave {value}"
        state: Literal["complete", "failed"] = "failed" if failed else "complete"
        trial = Trial(
            len(self.trials), dict(params), state, None if failed else value, seconds, why
        )
        self.trials.append(trial)
        return trial

    def _replayed(self) -> OptunaStudy:
        """Optuna's study of the same trials, its sampler seeded for the next one alone."""
        import optuna
        from optuna.trial import TrialState, create_trial

        sampler = optuna.samplers.TPESampler(
            seed=(self.seed * 1_000_003 + len(self.trials)) % 2**32, n_startup_trials=RANDOM_TRIALS
        )
        study = optuna.create_study(sampler=sampler)
        dimensions = distributions(self.space)
        states = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL}
        for trial in self.trials:
            study.add_trial(
                create_trial(
                    state=states[trial.state],
                    params=dict(trial.params),
                    distributions=dimensions,
                    value=trial.value,
                )
            )
        return study


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """The trial of the lowest value; None if none of them is complete."""
    done = [(trial.value, trial.number, trial) for trial in trials if trial.value is not None]
    return min(done)[2] if done else None


def search(
    objective: Callable[[int, Mapping[str, Value]], float],
    study: Study,
    *,
    n_trials: int | None = None,
    has_time: Callable[[], bool] = lambda: True,
) -> Iterator[Trial]:
    """Run trials and give each as soon as it is told; go on with a study that has some already.

    Args:
        objective: (number of the trial, what is chosen) -> value, lower is better. If it raises,
            or the value is not finite, the trial is marked and the search goes on.
        study: Asked and told.
        n_trials: How many trials the study has in the end; None is no limit.
        has_time: Whether one more may begin.

    Raises:
        RecipeError: If the number of trials is negative.
    """
    if n_trials is not None and n_trials < 0:
        raise RecipeError(f"the number of trials must be at least 0, got {n_trials}")
    while (n_trials is None or len(study.trials) < n_trials) and has_time():
        params = study.ask()
        began = time.monotonic()
        value, why = None, None
        try:
            value = objective(len(study.trials), params)
        except Exception as error:  # one bad point must not end the search; it is said
            why = f"{type(error).__name__}: {error}".splitlines()[0]
        trial = study.tell(params, value, seconds=time.monotonic() - began, why=why)
        if trial.state == "failed":
            warn(
                f"trial {trial.number} failed and is left out: {trial.why}",
                help="it tried " + ", ".join(f"{k}={v}" for k, v in params.items()),
            )
        yield trial


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's log lines out of our progress."""
    logger = logging.getLogger("optuna")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)

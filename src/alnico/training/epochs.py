"""One epoch after the other: steps, validation, and who goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from alnico.errors import DataError
from alnico.training.course import Course
from alnico.training.feed import Feed, Watch
from alnico.training.learner import Learner
from alnico.training.records import Epoch, Stop
from alnico.training.schedule import Schedule
from alnico.training.together import Scheme, schemes

OnEpoch: TypeAlias = Callable[[int, Mapping[int, Epoch]], None]
"""(epoch, {member: its epoch}) after each epoch, for the members that took part."""


class Factors:
    """The schedule, step by step.

    Args:
        schedule: A factor on every rate, from the step and the number of steps.
        n_steps: Steps of the whole training.
    """

    def __init__(self, schedule: Schedule, n_steps: int) -> None:
        self._schedule = schedule
        self._n_steps = n_steps
        self.step = 0
        self.last = 0.0

    def next(self) -> float:
        """The factor of the next step."""
        # a loader may give more batches than it said
        self.last = self._schedule(min(self.step, self._n_steps - 1), self._n_steps)
        self.step += 1
        return self.last


def run_epochs(
    n_epochs: int,
    team: Sequence[Learner],
    courses: Sequence[Course],
    feed: Feed,
    watch: Watch | None,
    factors: Factors,
    scheme: Scheme | None = None,
    *,
    deadline: float | None,
    on_epoch: OnEpoch | None,
) -> None:
    """Train the members of `team` until all are over, and write into their `courses`.

    Each member's course is judged by the validation loss that `scheme` (`apart` if None) gives it:
    where that is one loss for all, they keep the weights of one epoch and stop at one epoch, but
    for a member that diverges alone.

    Raises:
        DataError: If an epoch has no batches.
    """
    stopped: Stop = "epochs"
    scheme = scheme or schemes["apart"]
    for epoch in range(1, n_epochs + 1):
        if _take_steps(team, scheme, feed, factors, deadline):
            stopped = "deadline"
        elif not team[0].has_stepped:
            raise DataError(f"the loader gave no batches in epoch {epoch}")
        told = _end_epoch(team, scheme, courses, epoch, factors.last, watch)
        if on_epoch is not None and told:
            on_epoch(epoch, told)
        team = _going_on(team, courses)
        if not team or stopped == "deadline":
            break
    for learner in team:
        _close(learner, range(len(learner.bundle)), courses, stopped)


def _take_steps(
    team: Sequence[Learner],
    scheme: Scheme,
    feed: Feed,
    factors: Factors,
    deadline: float | None,
) -> bool:
    """Take the steps of one epoch; True if the deadline cut them short."""
    for learner in team:
        learner.begin_epoch()
    everyone = [member for learner in team for member in learner.bundle.members]
    deals = feed.epoch(everyone)
    while run := list(islice(deals, feed.run)):
        if deadline is not None and time.monotonic() >= deadline:
            return True
        scheme.take_(team, [(deal, factors.step, factors.next()) for deal in run])
    return False


def _end_epoch(
    team: Sequence[Learner],
    scheme: Scheme,
    courses: Sequence[Course],
    epoch: int,
    factor: float,
    watch: Watch | None,
) -> dict[int, Epoch]:
    """Validate and record; an epoch that the deadline cut short counts like any other."""
    told: dict[int, Epoch] = {}
    if not team[0].has_stepped:
        return told
    judged = None if watch is None else scheme.validate(team, watch)
    for number, learner in enumerate(team):
        bundle = learner.bundle
        train_losses = learner.train_loss()
        for row, member in enumerate(bundle.members):
            rate = learner.settings[row].rate * factor
            valid_loss = None if judged is None else judged[number][row]
            told[member] = Epoch(epoch, train_losses[row], valid_loss, rate)
            courses[member].record(told[member], bundle.flat[row], bundle.buffers(row))
        if learner.averages is not None:
            learner.averages.end_epoch(bundle.flat)
    return told


def _going_on(team: Sequence[Learner], courses: Sequence[Course]) -> list[Learner]:
    """The learners with those members alone that are not over."""
    going_on = []
    for learner in team:
        over = [courses[member].stopped is not None for member in learner.bundle.members]
        if any(over):
            _close(learner, [row for row, is_over in enumerate(over) if is_over], courses, "epochs")
        if not all(over):
            if any(over):
                learner.keep_([row for row, is_over in enumerate(over) if not is_over])
            going_on.append(learner)
    return going_on


def _close(learner: Learner, rows: Iterable[int], courses: Sequence[Course], stopped: Stop) -> None:
    kept = learner.averages
    for row in rows:
        ema, swa = (None, None) if kept is None else (kept.ema(row), kept.swa(row))
        courses[learner.bundle.members[row]].close(stopped, ema, swa)

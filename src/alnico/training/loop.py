"""Train many members at once: epochs, early stopping, the best weights of each."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError, RecipeError, UnknownNameError
from alnico.registry import suggest
from alnico.training.averaging import Averages
from alnico.training.bundle import trainable
from alnico.training.course import Course
from alnico.training.feed import Data, LoaderFeed, RowsFeed, make_feed, valid_batches
from alnico.training.learner import Learner, Loss, drawing_from
from alnico.training.optimisers import Setting
from alnico.training.records import Epoch, Stop, Training
from alnico.training.schedule import Schedule, schedules
from alnico.training.ways import ASKED, Asked, choose, learners
from alnico.types import Batch

OnEpoch: TypeAlias = Callable[[int, Mapping[int, Epoch]], None]
"""(epoch, {member: its epoch}) after each epoch, for the members that took part."""

_EMA_EVERY = 8  # steps: a small share of a step's cost, and 1/8 of an epoch or less matters little


def train(
    modules: Sequence[nn.Module],
    data: Data,
    *,
    settings: Sequence[Setting],
    loss: Loss,
    valid: Data | None = None,
    epochs: int = 20,
    stop_after: int | None = None,
    batch_size: int = 256,
    patience: int | None = 4,
    schedule: str = "cosine",
    clip: float | None = None,
    way: Asked = "auto",
    deadline: float | None = None,
    device: torch.device | str | None = None,
    averages: bool = True,
    on_epoch: OnEpoch | None = None,
) -> Training:
    """Train copies of `modules`, each with its own setting; the modules stay as they are.

    Args:
        modules: Any modules that map a batch of inputs to [n, c].
        data: Rows, which each member sees in its own order, or a loader of (inputs, target) pairs,
            whose batches all members share.
        settings: One a member.
        loss: (output [n, c], target [n]) -> the mean over the rows, a scalar.
        valid: What the best epoch of each member is chosen by; without it, the last is kept.
        epochs: Passes over the data at most; the schedule is spread over them.
        stop_after: End after this epoch of the schedule, as early stopping would have.
        batch_size: Rows of a batch, for rows.
        patience: A member stops after so many epochs without a better validation loss; None: never.
        schedule: `cosine` (with a short warm-up) or `constant`.
        clip: Largest norm of each member's gradient.
        way: `auto` times what reproduces the members and takes the fastest; `rule` decides without
            a clock, so that a run repeats itself exactly; `stacked`, `vmap`, `loop` are orders.
        deadline: A value of `time.monotonic` after which no step is taken.
        device: Where to train; where the first module lies if None.
        averages: Whether to keep moving averages and means of late epochs.
        on_epoch: Is told of every epoch.

    Raises:
        RecipeError: If a parameter is out of range, or settings and modules differ in number.
        UnknownNameError: If there is no such way or schedule.
        DataError: If there are no rows, or the data can be read only once.
        IncompatibleModelsError: If a module has nothing to train, or the way asked for does not
            reproduce the members.
    """
    begun = time.perf_counter()
    counts = {
        "epochs": epochs,
        "stop_after": stop_after,
        "batch_size": batch_size,
        "patience": patience,
    }
    _check(modules, settings, way, counts, clip)
    shape_of_rate = schedules[schedule]
    place = torch.device(device or next(modules[0].parameters()).device)
    here = [copy.deepcopy(module).to(place) for module in modules]
    seeds = [setting.seed for setting in settings]

    def feed_anew() -> RowsFeed | LoaderFeed:
        return make_feed(data, batch_size=batch_size, seeds=seeds, device=place)

    def first_batch() -> tuple[Batch, Tensor]:
        everyone = range(len(modules))
        with drawing_from(0, place):  # a shuffling loader draws from the global stream
            return next(iter(feed_anew().epoch(everyone)))(everyone)

    feed = feed_anew()
    watch = None if valid is None else valid_batches(valid, batch_size=batch_size, device=place)
    choice = choose(way, here, settings, first_batch, loss)
    team = learners(choice, here, settings, loss, clip=clip)
    if averages:
        every = max(1, min(_EMA_EVERY, feed.n_batches // _EMA_EVERY))
        for learner in team:
            learner.averages = Averages(horizon=feed.n_batches, every=every)
    courses = [Course(patience=patience) for _ in modules]
    factors = _Factors(shape_of_rate, epochs * feed.n_batches)
    stopped: Stop = "epochs"
    for epoch in range(1, min(epochs, stop_after or epochs) + 1):
        if _take_steps(team, feed, factors, deadline):
            stopped = "deadline"
        told = _end_epoch(team, courses, epoch, factors.last, watch)
        if on_epoch is not None and told:
            on_epoch(epoch, told)
        team = _going_on(team, courses)
        if not team or stopped == "deadline":
            break
    for learner in team:
        _close(learner, range(len(learner.bundle)), courses, stopped)
    members = tuple(c.trained(module) for c, module in zip(courses, modules, strict=True))
    return Training(members, choice.way, choice.why, time.perf_counter() - begun)


class _Factors:
    """The schedule, step by step."""

    def __init__(self, schedule: Schedule, n_steps: int) -> None:
        self._schedule = schedule
        self._n_steps = n_steps
        self.step = 0
        self.last = 0.0

    def next(self) -> float:
        # a loader may give more batches than it said
        self.last = self._schedule(min(self.step, self._n_steps - 1), self._n_steps)
        self.step += 1
        return self.last


def _take_steps(
    team: Sequence[Learner],
    feed: RowsFeed | LoaderFeed,
    factors: _Factors,
    deadline: float | None,
) -> bool:
    """Take the steps of one epoch; True if the deadline cut them short."""
    for learner in team:
        learner.begin_epoch()
    everyone = [member for learner in team for member in learner.bundle.members]
    for deal in feed.epoch(everyone):
        if deadline is not None and time.monotonic() >= deadline:
            return True
        step, factor = factors.step, factors.next()
        for learner in team:
            inputs, target = deal(learner.bundle.members)
            learner.step_(inputs, target, step=step, factor=factor)
    return False


def _end_epoch(
    team: Sequence[Learner],
    courses: Sequence[Course],
    epoch: int,
    factor: float,
    watch: Callable[[], Iterator[tuple[Batch, Tensor]]] | None,
) -> dict[int, Epoch]:
    """Validate and record; an epoch that the deadline cut short counts like any other."""
    told = {}
    for learner in team:
        if not learner.has_stepped:
            continue
        bundle = learner.bundle
        train_losses = learner.train_loss()
        valid_losses = [None] * len(bundle) if watch is None else learner.validate(watch())
        for row, member in enumerate(bundle.members):
            rate = learner.settings[row].rate * factor
            told[member] = Epoch(epoch, train_losses[row], valid_losses[row], rate)
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


def _check(
    modules: Sequence[nn.Module],
    settings: Sequence[Setting],
    way: str,
    at_least_one: Mapping[str, int | None],
    clip: float | None,
) -> None:
    """Find every fault of the parameters before anything is computed."""
    if way not in ASKED:
        raise UnknownNameError(f"there is no way {way!r} to train", help=suggest(way, ASKED))
    faults = [
        f"{name} must be at least 1, got {value}"
        for name, value in at_least_one.items()
        if value is not None and value < 1
    ]
    if clip is not None and not clip > 0:
        faults.append(f"clip must be above 0, got {clip}")
    if not modules:
        faults.append("there must be at least one module")
    if len(modules) != len(settings):
        faults.append(f"{len(modules)} modules need as many settings, got {len(settings)}")
    if faults:
        raise RecipeError("train: " + "; ".join(faults))
    for number, module in enumerate(modules):
        dtypes = {p.dtype for p in trainable(module).values()}
        name = f"module {number} ({type(module).__name__})"
        if not dtypes:
            raise IncompatibleModelsError(
                f"{name} has no parameters to train", help="set requires_grad on some"
            )
        if len(dtypes) > 1:
            found = ", ".join(sorted(map(str, dtypes)))
            raise IncompatibleModelsError(
                f"{name} has trainable weights of several types: {found}",
                help="bring it to one, e.g. module.float()",
            )

"""Train many members at once: what is asked for, checked, and put together."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError, RecipeError, UnknownNameError
from alnico.registry import suggest
from alnico.training.averaging import Averages
from alnico.training.bundle import trainable
from alnico.training.course import Course
from alnico.training.epochs import Factors, OnEpoch, run_epochs
from alnico.training.feed import Data, Feed, make_feed, valid_batches
from alnico.training.learner import Learner, Loss, drawing_from
from alnico.training.optimisers import Setting
from alnico.training.records import Training
from alnico.training.schedule import schedules
from alnico.training.together import Together, scheme_for
from alnico.training.ways import ASKED, Asked, Choice, choose, learners
from alnico.types import Batch

_EMA_EVERY = 8  # steps: a small share of a step's cost, and 1/8 of an epoch or less matters little


def train(
    modules: Sequence[nn.Module],
    data: Data,
    *,
    settings: Sequence[Setting],
    loss: Loss,
    together: Together = "apart",
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
        modules: Any that map the inputs of n rows to [n, c].
        data: Rows, in an order of each member's own, or a loader of (inputs, target) for all.
        settings: How each is trained.
        loss: (output [n, c], target [n]) -> the mean over the rows, a scalar.
        together: The scheme: `apart`, `shared` or `papa`; see `alnico.training.together`.
        valid: What the best epoch of each member is chosen by; without it, the last is kept.
        epochs: Passes over the data at most; the schedule is spread over them all.
        stop_after: End after this epoch of the schedule, as early stopping would.
        batch_size: Rows of a batch, for rows.
        patience: Stop a member after so many epochs without a better validation loss.
        schedule: `cosine` (with a short warm-up) or `constant`.
        clip: Largest norm of each member's gradient.
        way: `auto` takes the fastest, timed; `rule` decides without a clock; others are orders.
        deadline: A value of `time.monotonic` after which no step is taken.
        device: Where to train; where the first module lies if None.
        averages: Whether to keep `ema` and `swa`.
        on_epoch: Is told of every epoch.

    Raises:
        RecipeError: If a parameter is out of range, or settings and modules differ in number.
        DataError: If there are no rows, or they can be read only once.
        IncompatibleModelsError: If a module has nothing to train, or way or scheme need others.
    """
    begun = time.perf_counter()
    counts = {"epochs": epochs, "stop_after": stop_after, "patience": patience}
    _check(modules, settings, way=way, clip=clip, counts={**counts, "batch_size": batch_size})
    scheme = scheme_for(together, modules)
    place = torch.device(device or next(modules[0].parameters()).device)
    here = [copy.deepcopy(module).to(place) for module in modules]
    feed = make_feed(data, scheme.orders(settings), batch_size=batch_size, device=place)
    factors = Factors(schedules[schedule], epochs * feed.n_batches)
    watch = None if valid is None else valid_batches(valid, batch_size=batch_size, device=place)
    choice, team = _make_team(way, here, settings, loss, feed, clip=clip, averages=averages)
    courses, n = [Course(patience=patience) for _ in modules], min(epochs, stop_after or epochs)
    run_epochs(n, team, courses, feed, watch, factors, scheme, deadline=deadline, on_epoch=on_epoch)
    members = tuple(c.trained(module) for c, module in zip(courses, modules, strict=True))
    return Training(members, choice.way, choice.why, time.perf_counter() - begun)


def _make_team(
    way: Asked,
    modules: Sequence[nn.Module],
    settings: Sequence[Setting],
    loss: Loss,
    feed: Feed,
    *,
    clip: float | None,
    averages: bool,
) -> tuple[Choice, list[Learner]]:
    """Choose how the modules are computed, and make learners of copies of them."""
    choice = choose(way, modules, settings, lambda: _first_batch(feed, modules), loss)
    team = learners(choice, modules, settings, loss, clip=clip)
    if averages:
        every = max(1, min(_EMA_EVERY, feed.n_batches // _EMA_EVERY))
        for learner in team:
            learner.averages = Averages(horizon=feed.n_batches, every=every)
    return choice, team


def _first_batch(feed: Feed, modules: Sequence[nn.Module]) -> tuple[Batch, Tensor]:
    everyone = range(len(modules))
    place = next(modules[0].parameters()).device
    with drawing_from(0, place):  # a shuffling loader draws from the global stream
        return next(iter(feed.anew().epoch(everyone)))(everyone)


def _check(
    modules: Sequence[nn.Module],
    settings: Sequence[Setting],
    *,
    way: str,
    clip: float | None,
    counts: Mapping[str, int | None],
) -> None:
    """Find every fault of the parameters before anything is computed."""
    if way not in ASKED:
        raise UnknownNameError(f"there is no way {way!r} to train", help=suggest(way, ASKED))
    faults = [
        f"{name} must be at least 1, got {value}"
        for name, value in counts.items()
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
        _check_weights(f"module {number} ({type(module).__name__})", module)


def _check_weights(name: str, module: nn.Module) -> None:
    dtypes = {p.dtype for p in trainable(module).values()}
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

"""How the members of one training are computed: of the ways that reproduce them, the fastest."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from alnico.data.batches import take
from alnico.errors import IncompatibleModelsError
from alnico.progress import spaced
from alnico.training.bundle import Bundle
from alnico.training.equivalence import obstacle, same_architecture
from alnico.training.learner import Learner, Loss
from alnico.training.optimisers import Setting
from alnico.training.records import Way
from alnico.types import Batch

Asked: TypeAlias = Literal["auto", "rule", "stacked", "vmap", "loop"]

ASKED: tuple[Asked, ...] = ("auto", "rule", "stacked", "vmap", "loop")

_WEIGHTS = 100_000  # beyond it, as with embeddings of words, the loop was two to three times faster
_ROWS_A_THREAD = 1024  # of activations that still lie in its cache, measured in benchmarks/training
_LONGEST_TIMING = 1.0  # seconds, after one round
_CLEARLY = 0.95  # of the loop's time: less of a gain may be noise


@dataclass(frozen=True)
class Choice:
    """How the members are computed.

    Args:
        parts: Members that are computed at once.
        way: By which way.
        why: One clause that says why.
    """

    parts: tuple[tuple[int, ...], ...]
    way: Way
    why: str


def choose(
    asked: Asked,
    modules: Sequence[nn.Module],
    settings: Sequence[Setting],
    first_batch: Callable[[], tuple[Batch, Tensor]],
    loss: Loss,
) -> Choice:
    """Decide how `modules` are trained.

    Args:
        asked: `auto` times what is possible; `rule` decides without a clock; the others are orders.
        modules: The members; not changed.
        settings: How each is trained.
        first_batch: Gives a batch of each member, inputs [k, n, ...] and target [k, n, ...].
        loss: The loss of one member.

    Raises:
        IncompatibleModelsError: If the way asked for does not reproduce the members.
    """
    # equal optimisers side by side, so that they step as one
    order = sorted(range(len(modules)), key=lambda member: settings[member].group)
    loop = Choice(tuple((member,) for member in order), "loop", "asked for")
    if asked == "loop":
        return loop
    batch = first_batch()
    on_cpu = batch[1].device.type == "cpu"
    way, why = _possible(_tried(asked, on_cpu=on_cpu), modules, batch[0])
    if way == "loop":
        if asked in ("stacked", "vmap"):
            raise IncompatibleModelsError(
                f"the members cannot be trained as {asked!r}: {why}",
                help="way='auto' takes the fastest that is possible",
            )
        return Choice(loop.parts, "loop", why)
    whole = Choice((tuple(order),), way, "asked for")
    if asked in ("stacked", "vmap"):
        return whole
    if asked == "rule":
        return _by_rule(order, way, batch, modules[0])
    return _fastest(_candidates(order, way), loop, modules, settings, batch, loss)


def _tried(asked: Asked, *, on_cpu: bool) -> tuple[Way, ...]:
    """The batched ways that come into question, the better first."""
    if asked in ("stacked", "vmap"):
        return (asked,)
    # on a CPU mapped convolutions are several times slower than the loop: only the clock may say
    return ("stacked",) if asked == "rule" and on_cpu else ("stacked", "vmap")


def _possible(ways: Sequence[Way], modules: Sequence[nn.Module], inputs: Batch) -> tuple[Way, str]:
    """The first of the ways that reproduces the members, or the loop and why."""
    if len(modules) == 1:
        return "loop", "one member"
    if not same_architecture(modules):
        return "loop", "members differ in architecture"
    why = ""
    for way in ways:
        found = obstacle(way, modules, inputs)
        if found is None:
            return way, ""
        why = why or f"{type(modules[0]).__name__} cannot be {_PARTICIPLE[way]}: {found}"
    return "loop", why


_PARTICIPLE: dict[Way, str] = {"stacked": "stacked", "vmap": "mapped", "loop": "looped"}


def _candidates(order: Sequence[int], way: Way) -> list[Choice]:
    """All members at once, and in halves, quarters ...: smaller parts lie in the cache."""
    found, size = [], len(order)
    while size >= 2:
        found.append(_in_parts(order, size, way, ""))
        size = (size + 1) // 2 if size > 3 else 0
    return found


def _in_parts(order: Sequence[int], size: int, way: Way, why: str) -> Choice:
    parts = tuple(tuple(order[i : i + size]) for i in range(0, len(order), size))
    return Choice(parts, way, why)


def _by_rule(
    order: Sequence[int], way: Way, batch: tuple[Batch, Tensor], module: nn.Module
) -> Choice:
    """As large parts as the caches hold, for what was measured; a GPU takes all at once."""
    target = batch[1]
    if target.device.type != "cpu":
        return _in_parts(order, len(order), way, "rule: all at once on a GPU")
    weights = sum(p.numel() for p in module.parameters() if p.requires_grad)
    if weights > _WEIGHTS:
        return _in_parts(order, 1, "loop", f"rule: {spaced(weights)} weights each gain nothing")
    fit = torch.get_num_threads() * _ROWS_A_THREAD // target.shape[1]
    size = min(max(fit, 1), len(order))
    if size == 1:
        return _in_parts(order, 1, "loop", f"rule: batches of {target.shape[1]} fill the caches")
    size = math.ceil(len(order) / math.ceil(len(order) / size))  # parts of like size
    return _in_parts(order, size, way, f"rule: {size} members of such batches fit the caches")


def _fastest(
    candidates: Sequence[Choice],
    loop: Choice,
    modules: Sequence[nn.Module],
    settings: Sequence[Setting],
    batch: tuple[Batch, Tensor],
    loss: Loss,
) -> Choice:
    """Time a few steps of each on copies, in turns, and compare the quickest of each."""
    everyone = [loop, *candidates]
    teams = [learners(choice, modules, settings, loss) for choice in everyone]
    seconds = [float("inf")] * len(everyone)
    begun = time.perf_counter()
    for round in range(4):
        for number, team in enumerate(teams):
            spent = _time(team, batch, round)
            if round > 0:  # the first round fills caches and allocates
                seconds[number] = min(seconds[number], spent)
        if round > 0 and time.perf_counter() - begun > _LONGEST_TIMING:
            break
    best = seconds.index(min(seconds))
    if seconds[best] > _CLEARLY * seconds[0]:
        return Choice(loop.parts, "loop", "timed: nothing is faster than the loop")
    choice = everyone[best]
    size = len(choice.parts[0])
    parts = "" if len(choice.parts) == 1 else f"in parts of {size}, "
    why = f"timed: {parts}{seconds[0] / seconds[best]:.1f}x faster than the loop"
    return Choice(choice.parts, choice.way, why)


def learners(
    choice: Choice,
    modules: Sequence[nn.Module],
    settings: Sequence[Setting],
    loss: Loss,
    *,
    clip: float | None = None,
) -> list[Learner]:
    """Copies of the members, ready to learn in the chosen way."""
    return [
        Learner(
            Bundle(part, [copy.deepcopy(modules[member]) for member in part], choice.way),
            [settings[member] for member in part],
            loss,
            clip=clip,
        )
        for part in choice.parts
    ]


def _time(team: Sequence[Learner], batch: tuple[Batch, Tensor], step: int) -> float:
    inputs, target = batch
    begun = time.perf_counter()
    for learner in team:
        rows = torch.tensor(learner.bundle.members, device=target.device)
        learner.step_(take(inputs, rows), target[rows], step=step, factor=1.0)
    if target.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun

"""Members joined by a structure: their outputs, or their features."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alnico.fitting.kinds._bench import Bench, describe, kind
from alnico.fitting.members import Member
from alnico.fitting.rows import Row
from alnico.fusing import CrossFitted, crossfit
from alnico.structures import Average, Learned, Parts, Structure, structures


@dataclass(frozen=True)
class OnParts:
    """A learned structure with the members' outputs, for cross-fitting."""

    learned: Learned[Structure]
    parts: Parts

    def outputs(self, rows: Tensor) -> Tensor:
        """Row numbers [m] -> [m, c]"""
        with torch.no_grad():
            return self.learned(self.parts.rows(rows))


def crossfit_structure(bench: Bench, name: str, parts: Parts) -> CrossFitted[OnParts]:
    """Learn a structure over some members, with out-of-fold outputs.

    Args:
        bench: The rows and their folds.
        name: Of the structure.
        parts: What the members say of the validation part.
    """

    def learn(rows: Tensor) -> OnParts:
        target = bench.valid.target[rows]
        return OnParts(structures[name].learn(parts.rows(rows), target, bench.task), parts)

    return crossfit(learn, bench.folds)


def join(bench: Bench, name: str, members: Sequence[Member]) -> Row:
    """The row of a structure that is learned over some members."""
    began = time.monotonic()
    parts = Parts.of([m.outputs for m in members])
    fitted = crossfit_structure(bench, name, parts)
    learned, seconds = fitted.fit.learned, time.monotonic() - began
    row = joined(name, members, learned, fitted.outputs, seconds)
    row.relearn = relearning(bench, learned, parts)
    return row


def relearning(
    bench: Bench, learned: Learned[Structure], parts: Parts
) -> Callable[[Tensor], Learned[Structure]]:
    """What learns a structure again from some validation rows, over the members that it chose."""
    chosen = parts.members(learned.members)
    return lambda rows: learned.structure.learn(
        chosen.rows(rows), bench.valid.target[rows], bench.task
    )


def joined(
    name: str,
    members: Sequence[Member],
    learned: Learned[Structure],
    outputs: Tensor,
    seconds: float,
) -> Row:
    """The row of a structure over those members that it chose."""
    chosen = [members[i] for i in learned.members]
    return Row(
        name,
        describe([m.net for m in chosen]),
        tuple(m.net for m in chosen),
        learned.structure.eval(),
        outputs,
        seconds + sum(m.seconds for m in chosen),
        names=tuple(m.name for m in chosen),
    )


def _over_pool(name: str) -> Callable[[Bench], Iterator[Row]]:
    def make(bench: Bench) -> Iterator[Row]:
        if len(bench.pool) > 1:
            yield join(bench, name, bench.pool)

    return make


@kind("average")
def average(bench: Bench) -> Iterator[Row]:
    """The average of the best members' probabilities, and the blind one of all members'."""
    n_members = len(bench.pool)
    if n_members > 1:
        yield join(bench, "average", bench.pool)
        everyone = tuple(range(n_members))
        blind: Learned[Structure] = Learned(everyone, Average.of(n_members, bench.task))
        row = joined("average", bench.pool, blind, blind(bench.parts), 0.0)
        row.parts = f"all {n_members} members"
        yield row


kind("selection")(_over_pool("selection"))
kind("stacking")(_over_pool("stacking"))
kind("concat")(_over_pool("concat"))
kind("attention")(_over_pool("attention"))


@kind("shared")
def shared(bench: Bench) -> Iterator[Row]:
    """Members that one optimiser trained on the loss of their mean logits: their mean logits."""
    for members in bench.groups("shared"):
        n_members = len(members)
        everyone = tuple(range(n_members))
        # outputs are averaged as they are, also in a classification: it is what was trained
        mean: Learned[Structure] = Learned(everyone, Average([1 / n_members] * n_members, False))
        outputs = mean(Parts.of([m.outputs for m in members]))
        yield joined("shared", members, mean, outputs, 0.0)

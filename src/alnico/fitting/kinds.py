"""The kinds of rows: an open registry of ways to turn trained members into candidates.

A kind is a function from the `Bench` to rows. To add one, write the function and
`@kind("name")` above it; it is then tried in every fit, timed, calibrated, ranked and saved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from alnico.data.batches import Rows
from alnico.fitting.linear import fit_linear
from alnico.fitting.members import Member, Net, reading
from alnico.fitting.rows import Row
from alnico.fusing import Family, crossfit, soup_greedy, soup_learned, soup_uniform
from alnico.fusing.soups import Soup
from alnico.probing import read_outputs
from alnico.registry import Registry
from alnico.structures import Average, Learned, Parts, Structure, row_loss, structures
from alnico.types import Inputs, Task


@dataclass(frozen=True)
class Bench:
    """What kinds work with.

    Args:
        members: All trained members.
        train: The training part.
        valid: The validation part.
        folds: The fold of each validation row.
        inputs: What batches hold.
        task: What is predicted.
    """

    members: tuple[Member, ...]
    train: Rows
    valid: Rows
    folds: Tensor
    inputs: Inputs
    task: Task

    @cached_property
    def parts(self) -> Parts:
        """What all members say of the validation part."""
        return Parts.of([m.outputs for m in self.members])

    @cached_property
    def families(self) -> list[tuple[tuple[Member, ...], Family]]:
        """Members that share their start, with what soups are chosen on."""
        groups: dict[tuple[str, int], list[Member]] = {}
        for member in self.members:
            groups.setdefault(member.family, []).append(member)
        return [(tuple(g), self._family(g)) for g in groups.values() if len(g) > 1]

    def _family(self, members: Sequence[Member]) -> Family:
        rows = reading(self.valid, members[0].net.architecture, self.inputs)
        modules = [m.net.module for m in members]
        return Family(modules, rows.inputs, rows.target, self.task)

    def loss(self, outputs: Tensor) -> float:
        """Mean loss on the validation part."""
        return float(row_loss(outputs, self.valid.target, self.task).mean())

    def read(self, net: Net) -> Tensor:
        """What a network says of the validation part. -> [n, c]"""
        rows = reading(self.valid, net.architecture, self.inputs)
        return read_outputs(net.module, rows.inputs).logits


Kind: TypeAlias = Callable[[Bench], Iterator[Row]]

kinds: Registry[Kind] = Registry("kind")


def kind(name: str) -> Callable[[Kind], Kind]:
    """Register a kind of rows under a name."""
    return lambda make: kinds.add(name, make)


@kind("linear")
def linear(bench: Bench) -> Iterator[Row]:
    """The linear model."""
    began = time.monotonic()
    net = fit_linear(bench.train, bench.valid, inputs=bench.inputs, task=bench.task)
    name = "logistic regression" if bench.task.is_classification else "ridge regression"
    yield Row("linear", name, (net,), outputs=bench.read(net), seconds=time.monotonic() - began)


@kind("single")
def single(bench: Bench) -> Iterator[Row]:
    """Every member by itself."""
    for member in bench.members:
        yield Row(
            "single",
            member.name,
            (member.net,),
            outputs=member.outputs.logits,
            seconds=member.seconds,
        )


def _averaged(bench: Bench, name: str) -> Iterator[Row]:
    """The best member's averaged weights, best by validation."""
    found: list[tuple[float, Member, Net, Tensor]] = []
    for member in bench.members:
        net: Net | None = getattr(member, name)
        if net is not None:
            outputs = bench.read(net)
            found.append((bench.loss(outputs), member, net, outputs))
    if found:
        _, member, net, outputs = min(found, key=lambda item: item[0])
        yield Row(name, member.name, (net,), outputs=outputs, seconds=member.seconds)


@kind("swa")
def swa(bench: Bench) -> Iterator[Row]:
    """Stochastic weight averaging of a member (Izmailov et al. 2018)."""
    yield from _averaged(bench, "swa")


@kind("ema")
def ema(bench: Bench) -> Iterator[Row]:
    """The exponential moving average of a member's weights (Polyak 1992)."""
    yield from _averaged(bench, "ema")


def _soups(bench: Bench, name: str, learn: Callable[[Family, Tensor], Soup]) -> Iterator[Row]:
    for members, family in bench.families:
        began = time.monotonic()

        def learn_from(rows: Tensor, family: Family = family) -> Soup:
            return learn(family, rows)

        fitted = crossfit(learn_from, bench.folds)
        net = Net(members[0].net.architecture, fitted.fit.network())
        kept = int((fitted.fit.weights > 1e-3).sum())
        yield Row(
            name,
            f"{members[0].group.name}, {kept} of {len(members)}",
            (net,),
            outputs=fitted.outputs,
            seconds=sum(m.seconds for m in members) + time.monotonic() - began,
        )


@kind("soup_uniform")
def _soup_uniform(bench: Bench) -> Iterator[Row]:
    """All of a family, weighed equally."""
    yield from _soups(bench, "soup_uniform", soup_uniform)


@kind("soup_greedy")
def _soup_greedy(bench: Bench) -> Iterator[Row]:
    """Those of a family that make the average better."""
    yield from _soups(bench, "soup_greedy", soup_greedy)


@kind("soup_learned")
def _soup_learned(bench: Bench) -> Iterator[Row]:
    """A family with weights found by an optimiser."""
    yield from _soups(bench, "soup_learned", soup_learned)


@dataclass(frozen=True)
class _OnParts:
    """A learned structure with the members' outputs, for cross-fitting."""

    learned: Learned[Structure]
    parts: Parts

    def outputs(self, rows: Tensor) -> Tensor:
        with torch.no_grad():
            return self.learned(self.parts.rows(rows))


def _structure(bench: Bench, name: str) -> Iterator[Row]:
    if len(bench.members) < 2:
        return
    began = time.monotonic()

    def learn(rows: Tensor) -> _OnParts:
        parts = bench.parts.rows(rows)
        learned = structures[name].learn(parts, bench.valid.target[rows], bench.task)
        return _OnParts(learned, bench.parts)

    fitted = crossfit(learn, bench.folds)
    yield _joined(bench, name, fitted.fit.learned, fitted.outputs, time.monotonic() - began)


def _joined(
    bench: Bench, name: str, learned: Learned[Structure], outputs: Tensor, seconds: float
) -> Row:
    chosen = [bench.members[i] for i in learned.members]
    return Row(
        name,
        describe(chosen),
        tuple(m.net for m in chosen),
        learned.structure.eval(),
        outputs,
        seconds + sum(m.seconds for m in chosen),
    )


@kind("average")
def average(bench: Bench) -> Iterator[Row]:
    """The average of the best members' probabilities, and the blind one of all members'."""
    yield from _structure(bench, "average")
    everyone = tuple(range(len(bench.members)))
    if len(everyone) > 1:
        blind: Learned[Structure] = Learned(everyone, Average.of(len(everyone), bench.task))
        row = _joined(bench, "average", blind, blind(bench.parts), 0.0)
        row.parts = f"all {len(everyone)} members"
        yield row


@kind("selection")
def selection(bench: Bench) -> Iterator[Row]:
    """Greedy ensemble selection with replacement."""
    yield from _structure(bench, "selection")


@kind("stacking")
def stacking(bench: Bench) -> Iterator[Row]:
    """A linear model over the members' log-probabilities."""
    yield from _structure(bench, "stacking")


@kind("concat")
def concat(bench: Bench) -> Iterator[Row]:
    """One head over the members' joined features."""
    yield from _structure(bench, "concat")


@kind("attention")
def attention(bench: Bench) -> Iterator[Row]:
    """How far each member is listened to, row by row."""
    yield from _structure(bench, "attention")


def describe(members: Sequence[Member]) -> str:
    """Members by architecture and number: `text_gru x3, mlp x2`."""
    counts: dict[str, int] = {}
    for member in members:
        name = member.net.architecture.name
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(name if n == 1 else f"{name} x{n}" for name, n in counts.items())

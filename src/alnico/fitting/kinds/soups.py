"""Averages of the weights of networks that share their start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from alnico.fitting.kinds._bench import Bench, kind
from alnico.fitting.members import Member, Net, reading
from alnico.fitting.rows import Row
from alnico.fusing import Family, crossfit, soup_greedy, soup_learned, soup_uniform
from alnico.fusing.soups import Soup


def families(bench: Bench) -> list[tuple[tuple[Member, ...], Family]]:
    """Members that were trained apart from one start, with what soups are chosen on."""
    groups: dict[tuple[str, int], list[Member]] = {}
    for member in bench.members:
        if member.group.together == "apart":
            groups.setdefault(member.family, []).append(member)
    return [(tuple(g), _family(bench, g)) for g in groups.values() if len(g) > 1]


def _family(bench: Bench, members: Sequence[Member]) -> Family:
    rows = reading(bench.valid, members[0].net.architecture, bench.inputs)
    return Family([m.net.module for m in members], rows.inputs, rows.target, bench.task)


def _soups(bench: Bench, name: str, learn: Callable[[Family, Tensor], Soup]) -> Iterator[Row]:
    for members, family in families(bench):
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


@kind("papa")
def papa(bench: Bench) -> Iterator[Row]:
    """The average of the parameters of members that were pulled towards it as they learned.

    Jolicoeur-Martineau et al. 2023, "PopulAtion Parameter Averaging".
    """
    for members in bench.groups("papa"):
        equal = torch.full((len(members),), 1 / len(members))
        net = Net(members[0].net.architecture, _family(bench, members).network(equal))
        yield Row(
            "papa",
            f"{members[0].group.name}, {len(members)} members",
            (net,),
            outputs=bench.read(net),
            seconds=sum(m.seconds for m in members),
        )

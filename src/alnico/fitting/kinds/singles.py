"""One network each: the linear model, every member, a member's averaged weights."""

from __future__ import annotations

import time
from collections.abc import Iterator

from torch import Tensor

from alnico.fitting.kinds._bench import Bench, kind
from alnico.fitting.linear import fit_linear
from alnico.fitting.members import Member, Net
from alnico.fitting.rows import Row


@kind("linear")
def linear(bench: Bench) -> Iterator[Row]:
    """The linear model."""
    began = time.monotonic()
    net = fit_linear(bench.train, bench.valid, inputs=bench.inputs, task=bench.task)
    name = "logistic regression" if bench.task.is_classification else "ridge regression"
    yield Row("linear", name, (net,), outputs=bench.read(net), seconds=time.monotonic() - began)


@kind("single")
def single(bench: Bench) -> Iterator[Row]:
    """Every member that was trained apart, by itself; all of the pool if none was."""
    apart = [m for m in bench.members if m.group.together == "apart"]
    for member in apart or bench.pool:
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
    for member in bench.pool:
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

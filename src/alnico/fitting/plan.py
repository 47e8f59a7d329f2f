"""Which members are trained: the first pass, and what more time is spent on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from alnico.errors import RecipeError
from alnico.networks import Architecture, architectures
from alnico.training import Setting, optimisers
from alnico.types import Inputs

_SEEDS_A_GROUP = 100
_STEPS = 2_000  # what a small network on a small table needs


@dataclass(frozen=True)
class Group:
    """Members of one architecture, trained together.

    Args:
        name: Unique within a run, e.g. `mlp-quantile-0`.
        architecture: What they are made like.
        settings: How each of them is trained.
        starts: The start of each: members with equal numbers begin from one warm start, and are a
            family.
        epochs: At most.
        patience: Epochs without a better validation loss before a member stops.
        batch_size: Rows a step.
    """

    name: str
    architecture: Architecture
    settings: tuple[Setting, ...]
    starts: tuple[int, ...]
    epochs: int
    patience: int
    batch_size: int


@dataclass(frozen=True)
class Sketch:
    """A group before seeds and sizes are filled in: rates by optimiser, and who shares a start."""

    architecture: Architecture
    rates: tuple[tuple[str, float], ...]
    starts: tuple[int, ...]


_TABLE = (
    Sketch(
        Architecture("mlp", "quantile", depth=2, width=96, dropout=0.1),
        (("adamw", 2e-3), ("adamw", 2e-3), ("adam", 1e-3), ("nadam", 2e-3), ("rmsprop", 1e-3)),
        (0, 1, 1, 1, 1),
    ),
    Sketch(
        Architecture("resnet", "log", depth=2, width=64, dropout=0.1),
        (("adamw", 2e-3), ("sgd", 3e-2)),
        (0, 1),
    ),
    Sketch(
        Architecture("gated", "quantile", depth=1, width=64, activation="silu", dropout=0.1),
        (("nadam", 2e-3), ("adamw", 1e-3)),
        (0, 1),
    ),
    Sketch(
        Architecture("dcn", "log", depth=2, width=64, dropout=0.1),
        (("adamw", 2e-3), ("rmsprop", 1e-3)),
        (0, 1),
    ),
)
_BAG = (
    Sketch(
        Architecture("text_bag", depth=1, width=64, dropout=0.3),
        (("adamw", 5e-3), ("adamw", 5e-3), ("adam", 3e-3), ("nadam", 5e-3)),
        (0, 1, 1, 1),
    ),
)
_RECURRENT = (
    Sketch(
        Architecture("text_gru", depth=1, width=64, dropout=0.3),
        (("adamw", 6e-3), ("nadam", 4e-3)),
        (0, 1),
    ),
)
_ALL = (*_BAG, *_TABLE, *_RECURRENT)  # the quick ones first: time may be short


def first_pass(
    inputs: Inputs,
    n_rows: int,
    *,
    seed: int,
    allowed: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> list[Group]:
    """A few members of every architecture that can read the table; cheap, and unlike each other.

    Args:
        inputs: What the table holds.
        n_rows: Training rows.
        seed: Seeds of the members follow from it.
        allowed: Optimisers to use instead of the usual mix.
        only: Architectures to use instead of all.

    Raises:
        UnknownNameError: If a name is not registered.
        RecipeError: If none of `only` can read the table.
    """
    for name in only:
        architectures[name]
    for name in allowed:
        optimisers[name]
    able = [s for s in _ALL if _fits(s.architecture, inputs)]
    sketches = [s for s in able if not only or s.architecture.name in only]
    if not sketches:
        raise RecipeError(
            f"none of the architectures {', '.join(only)} can read this table",
            help=f"these can: {', '.join(s.architecture.name for s in able)}",
        )
    return [_group(s, i, n_rows, seed, allowed) for i, s in enumerate(sketches)]


def later_passes(
    groups: list[Group], n_rows: int, *, seed: int, allowed: tuple[str, ...] = ()
) -> Iterator[Group]:
    """Groups to spend more time on, without end: variations of the first pass, by the seed."""
    draw = random.Random(seed)
    number = len(groups)
    while True:
        first = draw.choice(groups)
        architecture = replace(
            first.architecture,
            encoding=draw.choice(("quantile", "log")),
            depth=max(1, first.architecture.depth + draw.choice((-1, 0, 1))),
            width=int(first.architecture.width * draw.choice((0.75, 1, 1.5, 2))) // 2 * 2,
            activation=draw.choice(("relu", "silu", "gelu")),
            dropout=draw.choice((0.0, 0.1, 0.2, 0.3)),
        )
        if architecture.reads_text:
            architecture = replace(architecture, depth=1)
        rates = tuple((s.optimiser, s.rate * draw.choice((0.5, 1, 2))) for s in first.settings)
        sketch = Sketch(architecture, rates, tuple(range(len(rates))))
        yield _group(sketch, number, n_rows, seed, allowed)
        number += 1


def _fits(architecture: Architecture, inputs: Inputs) -> bool:
    return inputs.has_text if architecture.reads_text else inputs.has_table


def _group(sketch: Sketch, number: int, n_rows: int, seed: int, allowed: tuple[str, ...]) -> Group:
    rates = sketch.rates
    if allowed:
        rates = tuple(
            (allowed[i % len(allowed)], _rate(allowed[i % len(allowed)], rate))
            for i, (_, rate) in enumerate(rates)
        )
    first_seed = (seed * 1_000 + number) * _SEEDS_A_GROUP
    settings = tuple(
        Setting(name, rate, weight_decay=1e-2 if name == "adamw" else 0.0, seed=first_seed + i)
        for i, (name, rate) in enumerate(rates)
    )
    architecture = sketch.architecture
    batch_size = (
        64 if n_rows < 3_000 else 256 if architecture.reads_text or n_rows < 40_000 else 1_024
    )
    steps_an_epoch = max(1, n_rows // batch_size)
    epochs = max(12, min(100, _STEPS // steps_an_epoch))
    if architecture.reads_text:
        epochs = max(5, min(20, 300 // steps_an_epoch))
    return Group(
        name=f"{architecture.name}-{number}",
        architecture=architecture,
        settings=settings,
        starts=sketch.starts,
        epochs=epochs,
        patience=max(2 if architecture.reads_text else 4, epochs // 6),
        batch_size=batch_size,
    )


def _rate(optimiser: str, rate: float) -> float:
    # plain gradient steps want rates that are some ten times larger
    return 3e-2 if optimiser == "sgd" else min(rate, 5e-3)

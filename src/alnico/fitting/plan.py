"""Which members are trained in the first pass, and how a group of them is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alnico.errors import RecipeError
from alnico.networks import Architecture
from alnico.training import Setting, Together
from alnico.types import Inputs

SCHEMES: tuple[Together, ...] = ("apart", "shared", "papa")
"""How members of a group are trained together, in the order in which a first pass runs them."""

_SEEDS_A_GROUP = 100
_STEPS = 2_000  # what a small network on a small table needs
_TOGETHER = 4  # members of a group whose scheme makes them cooperate


@dataclass(frozen=True)
class Group:
    """Members of one architecture, trained together.

    Args:
        name: Unique within a run, e.g. `mlp-0`.
        architecture: What they are made like.
        settings: How each of them is trained.
        starts: The start of each: members with equal numbers begin from one warm start, and are a
            family.
        epochs: At most.
        patience: Epochs without a better validation loss before a member stops.
        batch_size: Rows a step.
        together: The scheme: `apart`, `shared` or `papa`, as in `alnico.training.train`.
        begins_from: The member of an earlier run that all members begin from; None: anew.
    """

    name: str
    architecture: Architecture
    settings: tuple[Setting, ...]
    starts: tuple[int, ...]
    epochs: int
    patience: int
    batch_size: int
    together: Together = "apart"
    begins_from: str | None = None


@dataclass(frozen=True)
class Sketch:
    """A group before seeds and sizes are filled in: rates by optimiser, and who shares a start."""

    architecture: Architecture
    rates: tuple[tuple[str, float], ...]
    starts: tuple[int, ...]
    together: Together = "apart"


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
_MIXED = (
    Sketch(
        Architecture("mixed", "log", depth=1, width=64, dropout=0.3),
        (("adamw", 5e-3), ("nadam", 3e-3)),
        (0, 1),
    ),
)
_RECURRENT = (
    Sketch(
        Architecture("text_gru", depth=1, width=64, dropout=0.3),
        (("adamw", 6e-3), ("nadam", 4e-3)),
        (0, 1),
    ),
)
_QUICK = (*_BAG, *_TABLE, *_MIXED)
_ALL = (*_QUICK, *_RECURRENT)  # the quick ones first: time may be short

SLOW = tuple(sketch.architecture.name for sketch in _RECURRENT)
"""What costs ten times as much to train as the others."""

ARCHITECTURES = tuple(sketch.architecture.name for sketch in _ALL)
"""What can be trained on a table."""


def first_pass(
    inputs: Inputs,
    n_rows: int,
    *,
    seed: int,
    allowed: Sequence[str] = (),
    only: Sequence[str] = (),
    schemes: Sequence[str] = (),
) -> list[Group]:
    """A few members of every architecture that can read the table; cheap, and unlike each other.

    Every architecture is trained by the first of the schemes (apart, if it is among them), and one
    quick architecture by each of the others, too.

    Args:
        inputs: What the table holds.
        n_rows: Training rows.
        seed: Seeds of the members follow from it.
        allowed: Optimisers to use instead of the usual mix.
        only: Architectures to use instead of all.
        schemes: Schemes of training together to use instead of all.

    Raises:
        RecipeError: If none of `only` can read the table.
    """
    main, *others = [scheme for scheme in SCHEMES if not schemes or scheme in schemes]
    able = [s for s in _ALL if s.architecture.fits(inputs)]
    sketches = [s for s in able if not only or s.architecture.name in only]
    if not sketches:
        raise RecipeError(
            f"none of the architectures {', '.join(only)} can read this table",
            help=f"these can: {', '.join(s.architecture.name for s in able)}",
        )
    quick = [_cooperating(sketches[0].architecture, scheme) for scheme in others]
    if main != "apart":
        sketches = [_cooperating(s.architecture, main) for s in sketches]
    slow = [s for s in sketches if s.architecture.name in SLOW]
    ordered = [*(s for s in sketches if s not in slow), *quick, *slow]
    return [make_group(s, i, n_rows, seed=seed, allowed=allowed) for i, s in enumerate(ordered)]


def _cooperating(architecture: Architecture, scheme: Together) -> Sketch:
    """Members that are trained for each other: of one start, if their weights are averaged."""
    rate = 5e-3 if architecture.reads_words else 2e-3
    rates = (("adamw", rate),) * (2 if architecture.name in SLOW else _TOGETHER)
    starts = tuple(range(len(rates))) if scheme == "shared" else (0,) * len(rates)
    return Sketch(architecture, rates, starts, scheme)


def make_group(
    sketch: Sketch, number: int, n_rows: int, *, seed: int, allowed: Sequence[str] = ()
) -> Group:
    """Fill in seeds and sizes.

    Args:
        sketch: What is trained.
        number: Of the group within its run.
        n_rows: Training rows.
        seed: Of the run.
        allowed: Optimisers to use instead of the sketch's.
    """
    rates = sketch.rates
    if allowed:
        rates = tuple(
            (allowed[i % len(allowed)], usual_rate(allowed[i % len(allowed)], rate))
            for i, (_, rate) in enumerate(rates)
        )
    first_seed = (seed * 1_000 + number) * _SEEDS_A_GROUP
    settings = tuple(
        Setting(name, rate, weight_decay=1e-2 if name == "adamw" else 0.0, seed=first_seed + i)
        for i, (name, rate) in enumerate(rates)
    )
    architecture = sketch.architecture
    has_words = architecture.reads_words
    batch_size = 64 if n_rows < 3_000 else 256 if has_words or n_rows < 40_000 else 1_024
    steps_an_epoch = max(1, n_rows // batch_size)
    epochs = max(12, min(100, _STEPS // steps_an_epoch))
    if has_words:
        epochs = max(5, min(20, 300 // steps_an_epoch))
    return Group(
        name=f"{architecture.name}-{number}",
        architecture=architecture,
        settings=settings,
        starts=sketch.starts,
        epochs=epochs,
        patience=max(2 if has_words else 4, epochs // 6),
        batch_size=batch_size,
        together=sketch.together,
    )


def usual_rate(optimiser: str, rate: float) -> float:
    """A rate that suits the optimiser, given one that suits an adaptive one."""
    # plain gradient steps want rates that are some ten times larger
    return 3e-2 if optimiser == "sgd" else min(rate, 5e-3)

"""What a search over families and fusions may choose from, and what a choice means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alnico.fitting.members import Member
from alnico.fitting.options import Options
from alnico.fitting.plan import ARCHITECTURES, SCHEMES, SLOW, Group, Sketch, make_group
from alnico.networks import Architecture
from alnico.searching import Between, Choice, Space, Value
from alnico.training import Together, optimisers
from alnico.types import Inputs

FAMILY = 3
"""Members of a family; two of a recurrent network, which costs ten times as much."""

_SGD = 15.0  # plain gradient steps want rates that are some ten times larger


def family_space(inputs: Inputs, options: Options) -> Space:
    """Families of networks that can read the table: architecture, size, optimiser and scheme."""
    names = options.architectures or ARCHITECTURES
    able = tuple(dict.fromkeys(n for n in names if Architecture(n).fits(inputs)))
    space: dict[str, Choice | Between] = {
        "architecture": Choice(able),
        "depth": Between(1, 3, whole=True),
        "width": Choice((32, 48, 64, 96, 128)),
        "activation": Choice(("relu", "silu", "gelu")),
        "dropout": Between(0.0, 0.4),
        "optimiser": Choice(tuple(dict.fromkeys(options.optimisers or optimisers))),
        "rate": Between(5e-4, 1e-2, log=True),
        "together": Choice(tuple(s for s in SCHEMES if s in (options.together or SCHEMES))),
    }
    if inputs.numbers:
        space["encoding"] = Choice(("quantile", "log"))
    return space


def family(params: Mapping[str, Value], number: int, n_rows: int, *, seed: int) -> Group:
    """The group that a choice from `family_space` describes.

    Args:
        params: The choice.
        number: Of the group within its run.
        n_rows: Training rows.
        seed: Of the run.
    """
    name = str(params["architecture"])
    depth = int(params["depth"])
    architecture = Architecture(
        name,
        "log" if params.get("encoding") == "log" else "quantile",
        depth=1 if name in SLOW else depth,  # a second layer doubles the longest training
        width=int(params["width"]),
        activation=str(params["activation"]),
        dropout=round(float(params["dropout"]), 3),
    )
    optimiser, rate = str(params["optimiser"]), float(params["rate"])
    together = next(scheme for scheme in SCHEMES if scheme == params["together"])
    n_members = 2 if name in SLOW else FAMILY
    rates = ((optimiser, rate * (_SGD if optimiser == "sgd" else 1.0)),) * n_members
    return make_group(
        Sketch(architecture, rates, _starts(together, n_members), together),
        number,
        n_rows,
        seed=seed,
    )


def _starts(together: Together, n_members: int) -> tuple[int, ...]:
    """Those that are pulled together share their start; the others differ, but for two."""
    if together == "papa":
        return (0,) * n_members
    return tuple(range(n_members)) if together == "shared" else (0, 1, 1)[:n_members]


def fusion_space(pool: Sequence[Member], structures: Sequence[str]) -> Space:
    """Which structure joins members, and which groups of them feed it."""
    groups = dict.fromkeys(member.group.name for member in pool)
    flags = {f"uses {name}": Choice((True, False)) for name in groups}
    return {"structure": Choice(tuple(structures)), **flags}


def chosen_members(params: Mapping[str, Value], pool: Sequence[Member]) -> list[Member]:
    """The members that a choice from `fusion_space` feeds.

    If fewer than two are left, all are: a choice must mean a fusion.
    """
    some = [member for member in pool if params.get(f"uses {member.group.name}", True)]
    return some if len(some) > 1 else list(pool)

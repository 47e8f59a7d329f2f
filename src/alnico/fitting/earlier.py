"""An earlier run that a new one starts from: its encoder, its task, its members as they were."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alnico.data.encode import Encoder
from alnico.data.schema import Schema
from alnico.data.split import Split
from alnico.data.table import a_few
from alnico.errors import DataError, RecipeError, RunFolderError
from alnico.fitting.members import Net
from alnico.fitting.plan import Group
from alnico.networks import Architecture
from alnico.predicting import explained, read_encoder, read_network, read_task
from alnico.progress import spaced
from alnico.registry import closest
from alnico.runs import MEMBERS, MODEL, PREDICTIONS, Run, read_run
from alnico.training import Setting
from alnico.types import Task

if TYPE_CHECKING:
    import polars as pl

    from alnico.fitting.options import Options


@dataclass(frozen=True)
class Veteran:
    """A member of an earlier run.

    Args:
        name: Its name there, marked as earlier.
        net: The network.
        setting: How it was trained.
        best_loss: Its own validation loss then; infinite if it had none of its own.
        shared_by: The group whose members were trained on one shared loss; None if it learned for
            itself.
    """

    name: str
    net: Net
    setting: Setting
    best_loss: float
    shared_by: str | None = None


@dataclass(frozen=True)
class Earlier:
    """What a new run takes from an earlier one.

    Args:
        place: The run folder, for messages.
        target: The column that it predicts.
        task: What it predicts.
        encoder: How it reads a table; the new run reads its table in the same way.
        members: All its members.
        seen: Fingerprints of the rows that they were trained on.
    """

    place: str
    target: str
    task: Task
    encoder: Encoder
    members: tuple[Veteran, ...]
    seen: NDArray[np.int64]

    def member(self, name: str) -> Veteran:
        """The member of a name."""
        return next(member for member in self.members if member.name == name)

    def begin(self, group: Group) -> Group:
        """The group, its members beginning from the best earlier one of their architecture."""
        able = [m for m in self.members if m.net.architecture == group.architecture]
        best = min(able, key=lambda member: member.best_loss, default=None)
        if best is None:
            return group
        return replace(group, begins_from=best.name, starts=(0,) * len(group.starts))


def read_earlier(place: str | Path) -> Earlier:
    """Read what a new run can take from a run folder.

    Raises:
        RunFolderError: If it is not a run folder, was changed, has no members, or does not tell
            which rows they were trained on.
    """
    run = read_run(Path(place))
    with explained(run):
        return _read(run)


def _read(run: Run) -> Earlier:
    record = run.record
    tensors = run.tensors(MODEL) | run.tensors(MEMBERS)
    encoder, task = read_encoder(record, tensors), read_task(record)
    names: set[str] = set()
    members = []
    for member in record["members"]:
        module = read_network(record, member["network"], tensors, encoder.inputs, task)
        losses = [e["valid_loss"] for e in member["history"] if e["valid_loss"] is not None]
        shared_by = member["group"] if member.get("together") == "shared" else None
        if shared_by is not None:  # its losses are those of the members' mean
            losses = []
        architecture = Architecture(**record["networks"][member["network"]])
        name = earlier_name(member["name"], names)
        names.add(name)
        members.append(
            Veteran(
                name,
                Net(architecture, module.eval()),
                Setting(**member["setting"]),
                min(losses, default=float("inf")),
                shared_by,
            )
        )
    if not members:
        raise RunFolderError(f"{run.folder} has no members to start from")
    kept = run.tensors(PREDICTIONS)
    if "train.fingerprint" not in kept:
        raise RunFolderError(
            f"{run.folder} does not tell which rows its members were trained on, so that none of "
            "them can be kept from judging these members",
            help="fit it anew with this version of alnico",
        )
    return Earlier(
        str(run.folder),
        record["options"]["target"],
        task,
        encoder,
        tuple(members),
        kept["train.fingerprint"].numpy().astype(np.int64),
    )


def earlier_name(name: str, taken: set[str]) -> str:
    """`mlp-0.1` -> `mlp-0.1 (earlier)`, or with a number if that is taken."""
    plain = re.sub(r" \(earlier( \d+)?\)$", "", name)
    found, number = f"{plain} (earlier)", 1
    while found in taken:
        number += 1
        found = f"{plain} (earlier {number})"
    return found


def check_columns(frame: pl.DataFrame, earlier: Earlier, options: Options) -> Schema:
    """The earlier run's schema, if the table has its columns and no others.

    Raises:
        RecipeError: If another target is asked for, or a column is dropped that it reads.
        DataError: If columns are missing or new; all of them are named.
    """
    schema = earlier.encoder.schema
    if options.target != earlier.target:
        raise RecipeError(
            f"{earlier.place} predicts {earlier.target!r}, not {options.target!r}",
            help=f"--target {earlier.target!r}, or fit without --start-from",
        )
    features = [column.name for column in schema.columns]
    dropped = [name for name in options.drop if name in features]
    if dropped:
        raise RecipeError(
            f"{earlier.place} reads the columns {_named(dropped)}, which are to be dropped",
            help="fit without --start-from, or without --drop",
        )
    own = {options.group, options.time_column, options.window_end, options.target, *options.drop}
    known = {*features, *(column.name for column in schema.dropped), *own}
    missing = [name for name in features if name not in frame.columns]
    new = [name for name in frame.columns if name not in known]
    if missing or new:
        raise DataError(_difference(earlier.place, missing, new), help=_way_out(missing, new))
    return schema


def _difference(place: str, missing: Sequence[str], new: Sequence[str]) -> str:
    faults = [f"it lacks {_named(missing)}"] if missing else []
    faults += [f"{_named(new)} {'is' if len(new) == 1 else 'are'} new"] if new else []
    return f"the table has not the columns that {place} was fitted on: {'; '.join(faults)}"


def _way_out(missing: Sequence[str], new: Sequence[str]) -> str:
    near = closest(missing[0], new) if missing else None
    if near is not None:
        return f"was {near!r} called {missing[0]!r} then? Rename it"
    if missing:
        return "add them, or fit without --start-from"
    return "leave out new columns with --drop, or fit without --start-from"


def _named(names: Sequence[str]) -> str:
    return a_few(map(repr, names), shown=6)


def unseen(split: Split, prints: NDArray[np.int64], earlier: Earlier) -> Split:
    """The split without the validation and test rows that the earlier run was trained on.

    Args:
        split: Row numbers of the parts.
        prints: The fingerprint of every row of the table.
        earlier: The run that members come from.

    Raises:
        DataError: If less than a quarter of validation or test is left.
    """
    seen = np.isin(prints, earlier.seen)
    for name, rows in (("validation", split.valid), ("test", split.test)):
        if (~seen[rows]).sum() < len(rows) / 4:
            raise DataError(
                f"{earlier.place} was trained on {int(seen[rows].sum())} of the {len(rows)} rows "
                f"of the {name} part: too few are left to judge by",
                help="give rows that are new to it, or the same table with the --seed of that run",
            )
    left_out = int(seen[split.valid].sum() + seen[split.test].sum())
    if not left_out:
        return split
    return replace(
        split,
        valid=split.valid[~seen[split.valid]],
        test=split.test[~seen[split.test]],
        how=f"{split.how}, without {spaced(left_out)} rows that {earlier.place} was trained on",
    )

"""Members that were trained elsewhere: the user's own modules, and those of an earlier run."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from alnico.data.schema import Schema
from alnico.errors import DataError, IncompatibleModelsError
from alnico.fitting.earlier import Earlier
from alnico.fitting.members import Member, Net, TrainedGroup, outputs_of
from alnico.fitting.plan import Group
from alnico.fitting.prepare import Prepared
from alnico.networks import Architecture, Given, describe
from alnico.probing import Outputs
from alnico.training import Setting

GIVEN = "given"
"""The name of their architecture, and why their training ended."""


def given_members(modules: Sequence[nn.Module], prepared: Prepared) -> TrainedGroup:
    """The user's trained modules as members, over the table's numbers as they are.

    Args:
        modules: Each maps float32 numbers [n, columns], in the table's order, to [n, c] logits, or
            to values [n, 1] in the target's units.
        prepared: The table.

    Raises:
        DataError: If the table has other columns than numbers, or numbers are missing.
        IncompatibleModelsError: If a module cannot read the numbers, or says something else than
            the task asks for.
    """
    _check_numbers(prepared.encoder.schema)
    members = []
    for i, module in enumerate(modules):
        module = copy.deepcopy(module).eval()  # what the user does with it later changes nothing
        network = Given(module, prepared.task.center, prepared.task.scale).eval()
        net = Net(Architecture(GIVEN, layers=describe(module)), network)
        name = f"{GIVEN}-{i}"
        members.append(_member(name, net, prepared, i, said=_said(f"member {i}", net, prepared)))
    return TrainedGroup(tuple(members), "loop", GIVEN, 0.0)


def veterans(earlier: Earlier, prepared: Prepared) -> TrainedGroup:
    """The members of an earlier run, as they were."""
    members = []
    for i, veteran in enumerate(earlier.members):
        said = _said(veteran.name, veteran.net, prepared)
        member = _member(veteran.name, veteran.net, prepared, i, said=said, setting=veteran.setting)
        if veteran.shared_by is not None:  # it says something together with its group alone
            name = f"{veteran.shared_by} (earlier)"
            member = replace(member, group=replace(member.group, name=name, together="shared"))
        members.append(member)
    return TrainedGroup(tuple(members), "loop", f"of {earlier.place}", 0.0)


def _check_numbers(schema: Schema) -> None:
    others = [column.name for column in schema.columns if column.type != "number"]
    if others:
        raise DataError(
            f"members of yours read numbers, and these columns are none: {', '.join(others[:6])}",
            help="leave them out with drop=[...], or turn them into numbers as in their training",
        )
    gaps = [column.name for column in schema.columns if column.n_missing]
    if gaps:
        raise DataError(
            f"members of yours read numbers, and some are missing: {', '.join(gaps[:6])}",
            help="fill them as in the training of the members",
        )


def _said(name: str, net: Net, prepared: Prepared) -> Outputs:
    rows = prepared.valid
    try:
        said = outputs_of(net, rows, prepared.encoder.inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise IncompatibleModelsError(
            f"{name} cannot read this table: {str(error).splitlines()[0]}",
            help=f"it is given {len(prepared.encoder.mean)} numbers a row, in the table's order",
        ) from error
    wanted = (len(rows), prepared.task.n_outputs)
    if tuple(said.logits.shape) != wanted:
        raise IncompatibleModelsError(
            f"{name} says {list(said.logits.shape)} of {wanted[0]} rows, and the task wants "
            f"{list(wanted)}",
            help=_outputs_help(prepared),
        )
    if not _finite(said.logits):
        raise IncompatibleModelsError(
            f"{name} says NaN or infinity of some rows of this table",
            help="check that it was trained on the same columns in the same units",
        )
    return said


def _outputs_help(prepared: Prepared) -> str:
    task = prepared.task
    if task.is_classification:
        return f"give one logit for each class, in this order: {', '.join(map(str, task.classes))}"
    return "give one value a row, as [n, 1]"


def _finite(logits: Tensor) -> bool:
    return bool(torch.isfinite(logits).all())


def _member(
    name: str,
    net: Net,
    prepared: Prepared,
    number: int,
    *,
    said: Outputs,
    setting: Setting | None = None,
) -> Member:
    own = setting or Setting()
    group = Group(name, net.architecture, (own,), (number,), epochs=0, patience=1, batch_size=1)
    return Member(
        name=name,
        group=group,
        net=net,
        setting=own,
        start=number,
        ema=None,
        swa=None,
        best_epoch=0,
        history=(),
        stopped=GIVEN,
        outputs=said,
        seconds=0.0,
    )

"""Members of a fit: those that are brought along, the first pass, and one group at a time."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from alnico.errors import RecipeError
from alnico.fitting.clock import MEMBERS_SHARE, STUDENTS_SHARE, Clock
from alnico.fitting.fitted import Fitted
from alnico.fitting.given import given_members, veterans
from alnico.fitting.members import TrainedGroup, train_group
from alnico.fitting.plan import Group, first_pass
from alnico.fitting.store import Store
from alnico.progress import phase, warn


def bring(fitted: Fitted, modules: Sequence[nn.Module]) -> None:
    """Take the members that were trained elsewhere."""
    if modules:
        fitted.groups.append(given_members(modules, fitted.prepared))
    if fitted.earlier is not None:
        fitted.groups.append(veterans(fitted.earlier, fitted.prepared))


def train_first_pass(fitted: Fitted, clock: Clock, store: Store | None) -> None:
    """Train a few members of every architecture that can read the table.

    Raises:
        RecipeError: If the time limit is too short for one member.
    """
    options, prepared = fitted.options, fitted.prepared
    groups = planned(fitted)
    if store:
        store.begin(options, prepared.table.digest)
    for i, group in enumerate(groups):
        if fitted.members and not clock.has(share=MEMBERS_SHARE):
            warn(f"no time left to train {group.name}", help="give a longer --time-limit")
            continue
        train(fitted, group, clock.deadline(1 / (len(groups) - i)), store, joins=True)
        if not fitted.members:
            # one member at all is worth more than all that could be made of more of them
            train(fitted, group, clock.deadline(1.0, of=STUDENTS_SHARE), store, joins=True)
    if not fitted.members:
        raise RecipeError(
            f"a time limit of {options.time_limit:g} s is too short to train one member",
            help="give a longer --time-limit",
        )


def planned(fitted: Fitted) -> list[Group]:
    """The groups of the first pass."""
    options, prepared = fitted.options, fitted.prepared
    groups = first_pass(
        prepared.encoder.inputs,
        len(prepared.train),
        seed=options.seed,
        allowed=options.optimisers,
        only=options.architectures,
        schemes=options.together,
    )
    if fitted.earlier is None:
        return groups
    return [fitted.earlier.begin(group) for group in groups]


def train(
    fitted: Fitted,
    group: Group,
    deadline: float | None,
    store: Store | None,
    *,
    joins: bool = False,
) -> TrainedGroup:
    """Train a group, or load what an earlier attempt has trained.

    Args:
        fitted: What there is so far.
        group: What to train.
        deadline: `time.monotonic()` at which training ends with what there is.
        store: Where trained groups are kept.
        joins: Whether it joins the members, if an epoch was finished, before anybody is told: an
            interrupt after that finds it among them.
    """
    prepared = fitted.prepared
    inputs, task = prepared.encoder.inputs, prepared.task
    what = f"{group.architecture.name} x{len(group.settings)}"
    if group.together != "apart":
        what += f" {group.together}"
    with phase("train", what) as work:
        found = store.load(group, prepared.valid, inputs, task) if store else None
        if found is None:
            found = train_group(
                group,
                prepared.train,
                prepared.valid,
                inputs=inputs,
                task=task,
                deadline=deadline,
                way="auto" if fitted.options.time_limit else "rule",
                warm=warm_start(fitted, group),
            )
            if store:
                store.save(group, found)
        if joins and has_learned(found):
            fitted.groups.append(found)
        losses = [
            e.valid_loss for m in found.members for e in m.history if e.valid_loss is not None
        ]
        best = f"best validation loss {min(losses):.4f}" if losses else "no epoch was finished"
        work.say(f"{what}  {best}, {_how(found)} in {found.seconds:.1f} s")
    return found


def has_learned(trained: TrainedGroup) -> bool:
    """Whether there was time for an epoch; a group without one is worth nothing."""
    return any(member.history for member in trained.members)


def warm_start(fitted: Fitted, group: Group) -> nn.Module | None:
    """The network that a group begins from, if it has one."""
    if group.begins_from is None or fitted.earlier is None:
        return None
    return fitted.earlier.member(group.begins_from).net.module


def _how(trained: TrainedGroup) -> str:
    if trained.way != "loop" or len(trained.members) == 1:
        return "together"
    return f"one by one ({trained.why})"

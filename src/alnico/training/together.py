"""Joint training schemes: what members that are trained together have to do with one another.

`apart`: nothing; each follows its own loss. `shared`: all follow one loss, that of the mean of
their outputs. Then they need only be right together, and each alone is worse than trained apart
(Jeffares et al. 2023, "Joint training of deep ensembles fails due to learner collusion"). `papa`:
each follows its own loss, and every tenth step all move a little towards the mean of their weights
(Jolicoeur-Martineau et al. 2023, "Population parameter averaging"), so that this mean is a good
network, too.

What counts is the network that each scheme is for, and its validation loss decides on the best
epoch and on patience: of each member, of the mean of their outputs, of the mean of their weights.

The plain mean of the members' losses is no scheme of its own: no member's weights occur in
another's loss, so its gradient is that of `apart` divided by their number. It is `apart` up to the
step size, and for optimisers such as Adam, whose steps do not depend on the loss's scale, it is
`apart`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError
from alnico.registry import Registry
from alnico.training.bundle import differing, tensor_named, write_
from alnico.training.equivalence import same_architecture
from alnico.training.feed import Deal, Watch
from alnico.training.learner import Learner, mean_over_rows
from alnico.training.optimisers import Setting
from alnico.types import Batch

Together: TypeAlias = Literal["apart", "shared", "papa"]

Step: TypeAlias = tuple[Deal, int, float]
"""The members' batches, the step's number from 0, and the factor on every rate."""

_PULL_EVERY = 10  # steps; this and the next are the paper's
_PULL = 0.01  # share of the way to the mean; it moves with the rate


@dataclass(frozen=True)
class Scheme:
    """How members learn together.

    Args:
        take_: Takes steps with all learners of a team.
        validate: Gives the validation loss that each member of each learner is judged by.
        one_order: Whether all see the rows in the first one's order.
        one_architecture: Whether all must be of one architecture.
    """

    take_: Callable[[Sequence[Learner], Sequence[Step]], None]
    validate: Callable[[Sequence[Learner], Watch], list[list[float]]]
    one_order: bool = False
    one_architecture: bool = False

    def orders(self, settings: Sequence[Setting]) -> list[Setting]:
        """The setting whose seed each member's order of rows follows."""
        return [settings[0]] * len(settings) if self.one_order else list(settings)


schemes: Registry[Scheme] = Registry("scheme")


def scheme_for(name: str, modules: Sequence[nn.Module]) -> Scheme:
    """The scheme of a name, if these modules can learn by it.

    Raises:
        UnknownNameError: If there is no such scheme.
        IncompatibleModelsError: If modules must be of one architecture and are not.
    """
    scheme = schemes[name]
    for number, module in enumerate(modules):
        if scheme.one_architecture and not same_architecture([modules[0], module]):
            raise IncompatibleModelsError(
                f"module {number} ({type(module).__name__}) differs in architecture from "
                f"module 0 ({type(modules[0]).__name__}): their weights have no mean",
                help=f"train each architecture in a call of its own, or without together={name!r}",
            )
    return scheme


def joint(outputs: Sequence[Tensor]) -> Tensor:
    """The mean over members of their outputs. k' members of each learner, [k', n, c] -> [n, c]

    Raises:
        IncompatibleModelsError: If outputs differ in shape.
    """
    shapes = {tuple(output.shape[1:]) for output in outputs}
    if len(shapes) > 1:
        found = " and ".join(str(list(shape)) for shape in sorted(shapes))
        raise IncompatibleModelsError(
            f"the members' outputs differ in shape and have no mean: {found}",
            help="give all members the same number of outputs, or train with together='apart'",
        )
    return torch.cat(list(outputs)).mean(0)


def pull_(team: Sequence[Learner], share: float) -> None:
    """Move all members a share of the way to the mean of their weights.

    Members whose weights are not finite have no part in the mean.
    """
    flats = [learner.bundle.flat for learner in team]
    every = torch.cat(flats)
    mean = every[_finite(every)].mean(0)
    for flat in flats:
        flat.lerp_(mean, share)


def average(team: Sequence[Learner]) -> nn.Module:
    """A new network: the mean of all members' parameters and buffers; of integers, the first's.

    Members whose weights are not finite have no part in it.
    """
    every = torch.cat([learner.bundle.flat for learner in team])
    modules = [module for learner in team for module in learner.bundle.modules]
    taken = _finite(every)
    network = copy.deepcopy(modules[0])
    write_(network, every[taken].mean(0))
    with torch.no_grad():
        for name, values in differing(modules).items():
            if values.is_floating_point():
                tensor_named(network, name).copy_(values[taken].mean(0))
    return network


def _finite(flat: Tensor) -> Tensor:
    return flat.isfinite().all(1)


def _take_apart_(team: Sequence[Learner], steps: Sequence[Step]) -> None:
    for learner in team:  # several steps in a row: its weights stay in the cache
        for step in steps:
            _step_alone_(learner, step)


def _step_alone_(learner: Learner, step: Step) -> None:
    deal, number, factor = step
    inputs, target = deal(learner.bundle.members)
    learner.step_(inputs, target, step=number, factor=factor)


def _own_losses(team: Sequence[Learner], watch: Watch) -> list[list[float]]:
    return [learner.validate(watch()) for learner in team]


def _take_shared_(team: Sequence[Learner], steps: Sequence[Step]) -> None:
    for step in steps:
        _step_shared_(team, step)


def _step_shared_(team: Sequence[Learner], step: Step) -> None:
    deal, number, factor = step
    outputs = []
    for learner in team:
        inputs, target = deal(learner.bundle.members)
        with learner.drawing(number):
            outputs.append(learner.bundle.forward(inputs))
    mean = joint([output.detach() for output in outputs]).requires_grad_()
    loss = team[0].loss(mean, target[0])
    (slope,) = torch.autograd.grad(loss, mean)
    slope /= sum(map(len, outputs))  # of the loss, by each member's output
    for learner, output in zip(team, outputs, strict=True):
        learner.bundle.backward((output * slope).sum())
        learner.descend_(factor)
        learner.count(loss.detach().expand(len(output)), len(mean))


def _joint_losses(team: Sequence[Learner], watch: Watch) -> list[list[float]]:
    for learner in team:
        learner.bundle.train(False)

    def loss(inputs: Batch, target: Tensor) -> Tensor:
        return team[0].loss(joint([learner.answer(inputs) for learner in team]), target)

    return _to_all(team, mean_over_rows(watch(), loss).item())


def _take_papa_(team: Sequence[Learner], steps: Sequence[Step]) -> None:
    for step in steps:
        for learner in team:
            _step_alone_(learner, step)
        _, number, factor = step
        if (number + 1) % _PULL_EVERY == 0:
            pull_(team, _PULL * factor)


def _average_losses(team: Sequence[Learner], watch: Watch) -> list[list[float]]:
    network = average(team).eval()

    def loss(inputs: Batch, target: Tensor) -> Tensor:
        return team[0].loss(network(inputs), target)

    return _to_all(team, mean_over_rows(watch(), loss).item())


def _to_all(team: Sequence[Learner], loss: float) -> list[list[float]]:
    return [[loss] * len(learner.bundle) for learner in team]


schemes.add("apart", Scheme(_take_apart_, _own_losses))
schemes.add("shared", Scheme(_take_shared_, _joint_losses, one_order=True))
schemes.add("papa", Scheme(_take_papa_, _average_losses, one_architecture=True))

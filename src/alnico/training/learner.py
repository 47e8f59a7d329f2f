"""A bundle of members that learns: forward, loss, backward, clip, step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

import torch
from torch import Tensor

from alnico.data.batches import spread
from alnico.errors import DataError
from alnico.training.averaging import Averages
from alnico.training.bundle import Bundle
from alnico.training.optimisers import Setting, Stepper
from alnico.types import Batch

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(output [n, c], target [n]) -> the mean over the rows, a scalar."""


class Learner:
    """Some members on their way.

    Args:
        bundle: The members.
        settings: How each of them is trained; rows of one group are neighbours.
        loss: The mean loss of some rows of one member.
        clip: Largest norm of each member's gradient; None for any.
        averages: What keeps their averages; None if nothing should.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Sequence[Setting],
        loss: Loss,
        *,
        clip: float | None = None,
        averages: Averages | None = None,
    ) -> None:
        self.bundle = bundle
        self.averages = averages
        self.settings = list(settings)
        self._stepper = Stepper(bundle.flat, bundle.grad, settings)
        self.loss = loss
        self._clip = clip
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Forget the last epoch's losses, and set training mode."""
        self.bundle.train(True)
        self._total = torch.zeros(len(self.bundle), device=self.bundle.flat.device)
        self._rows = 0

    @property
    def has_stepped(self) -> bool:
        """Whether a step was taken in this epoch."""
        return self._rows > 0

    def train_loss(self) -> list[float]:
        """Each member's mean loss over the rows of this epoch so far."""
        losses: list[float] = (self._total / self._rows).tolist()
        return losses

    def step_(self, inputs: Batch, target: Tensor, *, step: int, factor: float) -> None:
        """Take one step with inputs [k, n, ...] and target [k, n]; dropout follows `step`."""
        with self.drawing(step):
            losses = self._losses(self.bundle.forward(inputs), target)
            self.bundle.backward(losses.sum())
        self.descend_(factor)
        self.count(losses.detach(), target.shape[1])

    def drawing(self, step: int) -> AbstractContextManager[None]:
        """Inside, random numbers are these members' own for this step."""
        seed = hash((step, *(setting.seed for setting in self.settings)))
        return drawing_from(seed, self.bundle.flat.device)

    def descend_(self, factor: float) -> None:
        """Take the step that the bundle's gradient asks for."""
        bundle = self.bundle
        if self._clip is not None:
            norm = bundle.grad.norm(dim=1, keepdim=True)
            bundle.grad.mul_((self._clip / (norm + 1e-6)).clamp(max=1.0))
        self._stepper.step_(factor)
        if self.averages is not None:
            self.averages.step(bundle.flat)

    def count(self, losses: Tensor, n: int) -> None:
        """Add the members' mean losses [k] over n rows to those of this epoch."""
        self._total += losses * n
        self._rows += n

    def validate(self, batches: Iterable[tuple[Batch, Tensor]]) -> list[float]:
        """Each member's mean loss over all rows of `batches`, which every member sees."""
        self.bundle.train(False)

        def losses(inputs: Batch, target: Tensor) -> Tensor:
            every = target.expand(len(self.bundle), *target.shape)
            return self._losses(self.answer(inputs), every)

        found: list[float] = mean_over_rows(batches, losses).tolist()
        return found

    def answer(self, inputs: Batch) -> Tensor:
        """The members' outputs for the same rows. [n, ...] -> [k, n, c]"""
        return self.bundle.forward(spread(inputs, len(self.bundle)))

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        """[k, n, c], [k, n] -> [k]; one by one, for a loss may do what it likes with its rows."""
        if len(output) == 1:
            return self.loss(output[0], target[0]).unsqueeze(0)
        pairs = zip(output.unbind(), target.unbind(), strict=True)
        return torch.stack([self.loss(own, wanted) for own, wanted in pairs])

    def keep_(self, rows: Sequence[int]) -> None:
        """Go on with the members of these rows alone; the others cost nothing more."""
        self.bundle.keep_(rows)
        self.settings = [self.settings[row] for row in rows]
        self._stepper = self._stepper.kept(self.bundle.flat, self.bundle.grad, rows)
        if self.averages is not None:
            self.averages.keep_(rows)


@torch.no_grad()
def mean_over_rows(
    batches: Iterable[tuple[Batch, Tensor]], losses: Callable[[Batch, Tensor], Tensor]
) -> Tensor:
    """The mean over all rows of losses that are given batch by batch, in evaluation.

    Args:
        batches: Inputs and target of some rows each.
        losses: One mean over the rows of a batch, or [k].

    Raises:
        DataError: If there are no rows.
    """
    total, rows = torch.zeros(()), 0
    for inputs, target in batches:
        total = total + losses(inputs, target) * len(target)
        rows += len(target)
    if rows == 0:
        raise DataError("there is nothing to validate on: the validation data gave no rows")
    return total / rows


@contextmanager
def drawing_from(seed: int, device: torch.device) -> Iterator[None]:
    """Draw random numbers from a stream of that seed; the global one goes on after as if unread."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed % 2**63)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)

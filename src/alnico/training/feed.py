"""Where the members' mini-batches come from: rows in memory, or a loader of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from typing import TypeAlias

import torch
from torch import Tensor

from alnico.data.batches import Rows, epoch_order, map_batch, n_batches, n_rows, spread
from alnico.errors import DataError
from alnico.training.optimisers import Setting
from alnico.types import Batch

Data: TypeAlias = Rows | Iterable[tuple[Batch, Tensor]]
Deal: TypeAlias = Callable[[Sequence[int]], tuple[Batch, Tensor]]
"""Members -> the batch of each for one step: inputs [k, n, ...], target [k, n, ...]."""

Watch: TypeAlias = Callable[[], Iterator[tuple[Batch, Tensor]]]
"""Gives the validation batches, each time anew."""


class RowsFeed:
    """Every member sees the rows in its own order.

    Args:
        rows: The rows, on the device of the training.
        batch_size: Rows of a batch.
        seeds: One a member: its order is a function of it alone.
    """

    run = (
        4  # steps that a learner takes before the next has its turn: its weights stay in the cache
    )

    def __init__(self, rows: Rows, *, batch_size: int, seeds: Sequence[int]) -> None:
        self._rows = rows
        self._batch_size = batch_size
        self._seeds = seeds
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._epochs = 0
        self.n_batches = n_batches(len(rows), batch_size)

    def anew(self) -> RowsFeed:
        """The same feed before its first epoch."""
        return RowsFeed(self._rows, batch_size=self._batch_size, seeds=self._seeds)

    def epoch(self, members: Sequence[int]) -> Iterator[Deal]:
        """The steps of one epoch for the members still training."""
        self._epochs += 1
        orders = {member: self._order(member) for member in members}
        for step in range(self.n_batches):

            def deal(some: Sequence[int], step: int = step) -> tuple[Batch, Tensor]:
                index = torch.stack([orders[member][step] for member in some])
                index = index.to(self._rows.target.device)
                own = self._rows.take(index)
                return own.inputs, own.target

            yield deal

    def _order(self, member: int) -> list[Tensor]:
        return epoch_order(
            len(self._rows),
            self._batch_size,
            self._generators[member],
            self._rows.length,
            batch_generator=torch.Generator().manual_seed(self._epochs),
        )


class LoaderFeed:
    """Every member sees the batches of one loader.

    Args:
        loader: What gives (inputs, target) pairs each time it is iterated.
        device: Where they are used.
    """

    run = 1  # nobody holds more than one batch of the user's

    def __init__(self, loader: Iterable[tuple[Batch, Tensor]], *, device: torch.device) -> None:
        self._loader = loader
        self._device = device
        self.n_batches = _count(loader)

    def anew(self) -> LoaderFeed:
        """Itself: a loader begins anew with each epoch."""
        return self

    def epoch(self, members: Sequence[int]) -> Iterator[Deal]:
        """The steps of one epoch."""
        for inputs, target in batches(self._loader, self._device):

            def deal(
                some: Sequence[int], inputs: Batch = inputs, target: Tensor = target
            ) -> tuple[Batch, Tensor]:
                return spread(inputs, len(some)), target.expand(len(some), *target.shape)

            yield deal


Feed: TypeAlias = RowsFeed | LoaderFeed


def make_feed(
    data: Data, settings: Sequence[Setting], *, batch_size: int, device: torch.device
) -> Feed:
    """Look at what the user gave, and feed from it.

    Raises:
        DataError: If there is nothing in it, or it can be read only once.
    """
    feed: Feed
    if isinstance(data, Rows):
        seeds = [setting.seed for setting in settings]
        feed = RowsFeed(data.to(device), batch_size=batch_size, seeds=seeds)
    else:
        feed = LoaderFeed(repeatable(data), device=device)
    if feed.n_batches == 0:
        raise DataError("there is nothing to train on: the training data have no rows")
    return feed


def valid_batches(data: Data, *, batch_size: int, device: torch.device) -> Watch:
    """What gives the validation batches, each time anew; rows of like length together.

    Raises:
        DataError: If there is nothing in it, or it can be read only once.
    """
    if not isinstance(data, Rows):
        loader = repeatable(data)
        if _count(loader) == 0:
            raise DataError("there is nothing to validate on: the loader is empty")
        return lambda: batches(loader, device)
    if len(data) == 0:
        raise DataError("there is nothing to validate on: the validation data have no rows")
    length = torch.zeros(len(data)) if data.length is None else data.length.cpu()
    rows = data.to(device)
    parts = [rows.take(part.to(device)) for part in length.argsort(stable=True).split(batch_size)]
    return lambda: ((part.inputs, part.target) for part in parts)


def batches(
    loader: Iterable[tuple[Batch, Tensor]], device: torch.device
) -> Iterator[tuple[Batch, Tensor]]:
    """The batches of a loader on `device`.

    Raises:
        DataError: If inputs and target of one count different rows.
    """
    for inputs, target in loader:
        if n_rows(inputs) != len(target):
            raise DataError(
                f"a batch of the loader has {n_rows(inputs)} rows but {len(target)} targets"
            )
        yield map_batch(lambda x: x.to(device), inputs), target.to(device)


def repeatable(loader: Iterable[tuple[Batch, Tensor]]) -> Iterable[tuple[Batch, Tensor]]:
    """The loader itself, if it can be read once an epoch.

    Raises:
        DataError: If it is an iterator.
    """
    if isinstance(loader, Iterator):
        raise DataError(
            f"a {type(loader).__name__} can be read only once, training reads its data each epoch",
            help="give a list of batches, a torch DataLoader, or Rows",
        )
    return loader


def _count(loader: Iterable[tuple[Batch, Tensor]]) -> int:
    if isinstance(loader, Sized):
        with suppress(TypeError):  # a DataLoader over a stream claims a length and has none
            return len(loader)
    return sum(1 for _ in loader)

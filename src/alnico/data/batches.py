"""Rows of a data set as tensors, and the order in which an epoch takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from alnico.errors import DataError
from alnico.types import Batch


def n_rows(batch: Batch) -> int:
    """The number of rows of a batch: the length of the first axis of each of its tensors."""
    if isinstance(batch, Mapping):
        return next((len(tensor) for tensor in batch.values()), 0)
    return len(batch)


def map_batch(change: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """Each tensor of the batch, changed."""
    if isinstance(batch, Mapping):
        return {name: change(tensor) for name, tensor in batch.items()}
    return change(batch)


def take(batch: Batch, index: Tensor) -> Batch:
    """The rows at `index`, in that order. [n, ...] at [...i] -> [...i, ...]

    Args:
        batch: The rows.
        index: Row numbers, int64, of any shape.
    """
    return map_batch(lambda tensor: _take(tensor, index), batch)


def spread(batch: Batch, k: int) -> Batch:
    """The same rows k times, without a copy. [n, ...] -> [k, n, ...]"""
    return map_batch(lambda tensor: tensor.expand(k, *tensor.shape), batch)


def _take(tensor: Tensor, index: Tensor) -> Tensor:
    # index_select is several times faster than tensor[index] for rows
    found = tensor.index_select(0, index.reshape(-1))
    return found.view(*index.shape, *tensor.shape[1:])


@dataclass(frozen=True)
class Rows:
    """Inputs and target of some rows.

    Args:
        inputs: What a network is fed with.
        target: What it should answer, one entry a row.
        length: Length of each row's sequence, if rows of like length should share a batch.

    Raises:
        DataError: If the tensors do not count the same rows.
    """

    inputs: Batch
    target: Tensor
    length: Tensor | None = None

    def __post_init__(self) -> None:
        tensors = dict(self.inputs) if isinstance(self.inputs, Mapping) else {"inputs": self.inputs}
        tensors["target"] = self.target
        if self.length is not None:
            tensors["length"] = self.length
        counts = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise DataError(f"the tensors of some rows differ in their number of rows: {found}")

    def __len__(self) -> int:
        return len(self.target)

    def take(self, index: Tensor) -> Rows:
        """The rows at `index` (int64, any shape); every tensor gets that shape in front."""
        length = None if self.length is None else _take(self.length, index)
        return Rows(take(self.inputs, index), _take(self.target, index), length)

    def to(self, device: torch.device | str) -> Rows:
        """The same rows on `device`."""
        length = None if self.length is None else self.length.to(device)
        return Rows(map_batch(lambda x: x.to(device), self.inputs), self.target.to(device), length)


def concatenate(parts: Sequence[Rows]) -> Rows:
    """One after the other; tensors of unequal width get zeros at the end of their last axis.

    Args:
        parts: Rows with the same names of inputs; padded sequences may differ in width.
    """
    names = list(parts[0].inputs) if isinstance(parts[0].inputs, Mapping) else None
    inputs: Batch
    if names is None:
        inputs = _join([part.inputs for part in parts if isinstance(part.inputs, Tensor)])
    else:
        batches = [part.inputs for part in parts if isinstance(part.inputs, Mapping)]
        inputs = {name: _join([batch[name] for batch in batches]) for name in names}
    lengths = [part.length for part in parts if part.length is not None]
    length = torch.cat(lengths) if len(lengths) == len(parts) else None
    return Rows(inputs, torch.cat([part.target for part in parts]), length)


def _join(tensors: Sequence[Tensor]) -> Tensor:
    if tensors[0].dim() < 2:
        return torch.cat(list(tensors))
    widest = max(tensor.shape[-1] for tensor in tensors)
    return torch.cat([pad(tensor, (0, widest - tensor.shape[-1])) for tensor in tensors])


def n_batches(n: int, batch_size: int) -> int:
    """How many mini-batches `epoch_order` makes of `n` rows."""
    full, rest = divmod(n, batch_size)
    return full + int(rest > 0 and (full == 0 or rest >= _least(batch_size)))


def epoch_order(
    n: int,
    batch_size: int,
    generator: torch.Generator,
    length: Tensor | None = None,
    *,
    batch_generator: torch.Generator | None = None,
) -> list[Tensor]:
    """Deal `n` rows into the shuffled mini-batches of one epoch.

    Every batch is full but the last, which holds the rest; a rest of less than an eighth of a batch
    is left out this time (its gradient would be noise). So the sizes are the same in every epoch
    and for every member.

    Args:
        n: Number of rows.
        batch_size: Rows of a full batch.
        generator: Decides which rows meet.
        length: Length of each row's sequence: rows of like length then share a batch.
        batch_generator: With `length`, decides the order of the batches; `generator` if None.
            Members trained together share it, so that one step holds batches of like length.

    Returns:
        Row numbers of each batch, int64.
    """
    order = torch.randperm(n, generator=generator)
    full = n // batch_size
    rest = [order[full * batch_size :]] if n_batches(n, batch_size) > full else []
    order = order[: full * batch_size]
    if length is None:
        return [*order.view(full, batch_size).unbind(), *rest]
    order = order[length.cpu()[order].argsort(stable=True)]
    shuffled = torch.randperm(full, generator=batch_generator or generator)
    return [*order.view(full, batch_size)[shuffled].unbind(), *rest]


def _least(batch_size: int) -> int:
    return max(1, batch_size // 8)

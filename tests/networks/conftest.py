"""Random batches of every shape that `Inputs` can describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from alnico.types import Inputs

MakeBatch = Callable[..., dict[str, Tensor]]


def _make_batch(inputs: Inputs, *shape: int, seed: int = 0) -> dict[str, Tensor]:
    """Rows of shape [..., n]; the first is all padding, the others are of random length."""
    random = torch.Generator().manual_seed(seed)
    batch: dict[str, Tensor] = {}
    if inputs.numbers:
        batch["quantile"] = torch.rand(*shape, inputs.numbers, generator=random)
        batch["log"] = torch.randn(*shape, inputs.numbers, generator=random)
        batch["raw"] = batch["log"].sinh() * 100
    if inputs.missing:
        batch["missing"] = torch.randint(2, (*shape, inputs.missing), generator=random).float()
    if inputs.categories:
        columns = [torch.randint(c, shape, generator=random) for c in inputs.categories]
        batch["categories"] = torch.stack(columns, -1).int()
    if inputs.words:
        lengths = torch.randint(1, 8, shape, generator=random)
        lengths[..., 0] = 0
        padding = torch.arange(9) >= lengths.unsqueeze(-1)
        words = torch.randint(1, inputs.words, (*shape, 9), generator=random)
        bag = torch.randint(1, inputs.bag, (*shape, 9), generator=random)
        weight = torch.rand(*shape, 9, generator=random)
        batch["words"] = words.masked_fill(padding, 0).int()
        batch["bag"] = bag.masked_fill(padding, 0).int()
        batch["bag_weight"] = weight.masked_fill(padding, 0)
    return batch


@pytest.fixture
def make_batch() -> MakeBatch:
    return _make_batch


@pytest.fixture
def part_of() -> Callable[[Mapping[str, Tensor], int | slice], dict[str, Tensor]]:
    return lambda batch, index: {name: tensor[index] for name, tensor in batch.items()}

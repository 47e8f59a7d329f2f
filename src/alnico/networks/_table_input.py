"""The first layer of every table network: numbers, indicators and categories side by side."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from alnico.networks._architecture import Encoding
from alnico.types import Inputs

_PIECES = 16  # linear pieces a number, Gorishniy et al. 2022 tune 2 to 128
_MOST_UNITS = 4_096


class TableInput(nn.Module):
    """Read a batch of table rows as one vector each.

    Numbers in the `quantile` encoding lie in [0, 1]; their piecewise-linear embedding (Gorishniy,
    Rubachev, Babenko 2022, eq. 1) with equal pieces is `clip(T x - t, 0, 1)` for t = 0 ... T - 1.

    Args:
        inputs: What the batch holds.
        encoding: Which encoding of the numbers is read.
        category_width: Width of the embedding of each category.
    """

    offset: Tensor
    piece: Tensor

    def __init__(self, inputs: Inputs, encoding: Encoding, category_width: int = 8) -> None:
        super().__init__()
        self.encoding = encoding
        self.has_missing = inputs.missing > 0
        pieces = _PIECES if encoding == "quantile" else 1
        pieces = max(1, min(pieces, _MOST_UNITS // max(1, inputs.numbers)))
        self.pieces = pieces
        self.width = inputs.numbers * pieces + inputs.missing
        self.numbers = inputs.numbers
        if inputs.categories:
            # one table for all columns: one lookup however many there are
            starts = torch.tensor((0, *inputs.categories[:-1])).cumsum(0)
            self.register_buffer("offset", starts, persistent=False)
            self.embedding: nn.Embedding | None = nn.Embedding(
                sum(inputs.categories), category_width
            )
            nn.init.normal_(self.embedding.weight, std=0.3)
            self.width += category_width * len(inputs.categories)
        else:
            self.embedding = None
        self.register_buffer("piece", torch.arange(pieces, dtype=torch.float32), persistent=False)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[..., n] rows -> [..., n, width]"""
        found = []
        if self.numbers:
            numbers = batch[self.encoding]
            if self.pieces > 1:
                x = numbers.unsqueeze(-1) * self.pieces - self.piece
                numbers = x.clamp(0.0, 1.0).flatten(-2)
            found.append(numbers)
        if self.has_missing:
            found.append(batch["missing"])
        if self.embedding is not None:
            found.append(self.embedding(batch["categories"] + self.offset).flatten(-2))
        return torch.cat(found, dim=-1)

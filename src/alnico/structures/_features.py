"""The members' features, standardised, so that one penalty fits all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from alnico.structures._structure import Parts


class Standardise(nn.Module):
    """Features of mean 0 and standard deviation 1 over the rows it was fitted to.

    Args:
        widths: The width of each member's features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.register_buffer("mean", torch.zeros(sum(widths)))
        self.register_buffer("std", torch.ones(sum(widths)))

    def fit_(self, parts: Parts) -> None:
        """Take mean and standard deviation from these rows; a constant unit is left as it is."""
        features = torch.cat(parts.features, 1)
        mean = features.mean(0)
        std = (features - mean).square().mean(0).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-6, std, 1.0))

    def forward(self, parts: Parts) -> Tensor:
        """k times [n, w] -> [n, sum of w]"""
        out: Tensor = (torch.cat(parts.features, 1) - self.mean) / self.std
        return out

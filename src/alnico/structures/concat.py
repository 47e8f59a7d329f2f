"""Concatenation: one head over the features of all members, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from alnico.structures._features import OverFeatures
from alnico.structures._structure import Parts, structures


class Concat(OverFeatures):
    """`mean_i logits_i + W [f_1 ... f_k] + b`, with W and b 0 at the start.

    For members whose logits are `W_i f_i + b_i` this is one linear head over the joined features
    that starts at `[W_1 ... W_k] / k`, the mean of the members' logits.

    Args:
        widths: The width of each member's features.
        n_outputs: c.
    """

    name = "concat"

    def __init__(self, widths: Sequence[int], n_outputs: int) -> None:
        super().__init__(widths, n_outputs)
        self.weight = nn.Parameter(torch.zeros(n_outputs, sum(widths)))

    def forward(self, parts: Parts) -> Tensor:
        """[k, n, c] logits, k times [n, w] features -> [n, c]"""
        head = nn.functional.linear(self.standardise(parts), self.weight, self.bias)
        return parts.logits.mean(0) + head


structures.add("concat", Concat)

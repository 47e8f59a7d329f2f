"""Attention over the members: how far each is listened to is decided for every row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from alnico.structures._features import OverFeatures
from alnico.structures._structure import Parts, structures


class Attention(OverFeatures):
    """`sum_i a_i s_i logits_i + b` with `a = softmax_i(q_i . f_i + e_i)`, for each row.

    Attention pooling with one learned query (Bahdanau et al. 2015; Ilse et al. 2018, eq. 8): the
    query times member i's key matrix is q_i. A member's temperature s_i is learned beside it. All
    of them start so that the whole is exactly the mean of the members' logits.

    Args:
        widths: The width of each member's features.
        n_outputs: c.
    """

    name = "attention"

    def __init__(self, widths: Sequence[int], n_outputs: int) -> None:
        super().__init__(widths, n_outputs)
        self.query = nn.Parameter(torch.zeros(sum(widths)))
        self.prior = nn.Parameter(torch.zeros(len(widths)))
        self.log_scale = nn.Parameter(torch.zeros(len(widths)))

    def weights(self, parts: Parts) -> Tensor:
        """How far each member is listened to on each row; sums to 1 over members. -> [k, n]"""
        widths = self.standardise.widths
        features = self.standardise(parts).split(widths, 1)
        scores = [f @ q for f, q in zip(features, self.query.split(widths), strict=True)]
        return (torch.stack(scores) + self.prior[:, None]).softmax(0)

    def forward(self, parts: Parts) -> Tensor:
        """[k, n, c] logits, k times [n, w] features -> [n, c]"""
        values = parts.logits * self.log_scale.exp()[:, None, None]
        return (self.weights(parts)[:, :, None] * values).sum(0) + self.bias


structures.add("attention", Attention)

"""The linear model as a network: one weight a number, category level and TF-IDF term."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.networks._architecture import Architecture, architectures
from alnico.types import Inputs


class Linear(nn.Module):
    """A weight for each number, indicator, category level and term, and an offset."""

    offset: Tensor

    def __init__(self, architecture: Architecture, inputs: Inputs, n_outputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoding = architecture.encoding
        self.numbers = nn.Parameter(torch.zeros(n_outputs, inputs.numbers + inputs.missing))
        self.levels = nn.Parameter(torch.zeros(sum(inputs.categories), n_outputs))
        self.terms = nn.Parameter(torch.zeros(inputs.bag, n_outputs))
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        starts = torch.tensor((0, *inputs.categories[:-1])).cumsum(0)
        self.register_buffer("offset", starts, persistent=False)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[n] rows -> [n, outputs]"""
        out: Tensor = self.bias
        if self.inputs.numbers:
            numbers = [batch[self.encoding]] + ([batch["missing"]] if self.inputs.missing else [])
            out = out + F.linear(torch.cat(numbers, dim=-1), self.numbers)
        if self.inputs.categories:
            out = out + F.embedding(batch["categories"] + self.offset, self.levels).sum(-2)
        if self.inputs.bag:
            out = out + F.embedding_bag(
                batch["bag"], self.terms, mode="sum", per_sample_weights=batch["bag_weight"]
            )
        return out


architectures.add("linear", Linear)

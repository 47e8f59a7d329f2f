"""Deep & cross network, second version, parallel (Wang et al. 2021, eq. 1 to 3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from alnico.networks._architecture import Architecture, architectures
from alnico.networks._table_input import TableInput
from alnico.types import Inputs


class DCN(nn.Module):
    """Explicit products of inputs (cross) beside a perceptron (deep), joined before the head.

    The cross layers work on a linear reading of the inputs of `width` units, so that their size
    does not grow with the square of the table's.
    """

    def __init__(self, architecture: Architecture, inputs: Inputs, n_outputs: int) -> None:
        super().__init__()
        width = architecture.width
        self.input = TableInput(inputs, architecture.encoding)
        self.first = nn.Linear(self.input.width, width)
        self.crosses = nn.ModuleList(nn.Linear(width, width) for _ in range(architecture.depth))
        layers: list[nn.Module] = []
        for _ in range(architecture.depth):
            layers += [nn.Linear(width, width), architecture.activate()]
            layers += [nn.Dropout(architecture.dropout)]
        self.deep = nn.Sequential(*layers)
        self.join = nn.Sequential(nn.Linear(2 * width, width), architecture.activate())
        self.head = nn.Linear(width, n_outputs)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[..., n] rows -> [..., n, outputs]"""
        start = self.first(self.input(batch))
        x = start
        for cross in self.crosses:
            x = start * cross(x) + x
        out: Tensor = self.head(self.join(torch.cat([x, self.deep(start)], dim=-1)))
        return out


architectures.add("dcn", DCN)

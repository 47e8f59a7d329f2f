"""Multilayer perceptron: linear, activation, dropout, again."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from alnico.networks._architecture import Architecture, architectures
from alnico.networks._table_input import TableInput
from alnico.types import Inputs


class MLP(nn.Module):
    """A plain multilayer perceptron over table rows."""

    def __init__(self, architecture: Architecture, inputs: Inputs, n_outputs: int) -> None:
        super().__init__()
        self.input = TableInput(inputs, architecture.encoding)
        layers: list[nn.Module] = []
        width = self.input.width
        for _ in range(architecture.depth):
            layers += [nn.Linear(width, architecture.width), architecture.activate()]
            layers += [nn.Dropout(architecture.dropout)]
            width = architecture.width
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(width, n_outputs)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[..., n] rows -> [..., n, outputs]"""
        out: Tensor = self.head(self.hidden(self.input(batch)))
        return out


architectures.add("mlp", MLP)

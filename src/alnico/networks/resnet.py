"""Residual MLP for tables (Gorishniy et al. 2021, section 3.2), with layer norm."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from alnico.networks._architecture import Architecture, architectures
from alnico.networks._table_input import TableInput
from alnico.types import Inputs


class Block(nn.Module):
    """x + linear(dropout(activation(linear(norm(x)))))"""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.width
        self.change = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            architecture.activate(),
            nn.Dropout(architecture.dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]"""
        out: Tensor = x + self.change(x)
        return out


class ResidualMLP(nn.Module):
    """Residual blocks over table rows."""

    def __init__(self, architecture: Architecture, inputs: Inputs, n_outputs: int) -> None:
        super().__init__()
        self.input = TableInput(inputs, architecture.encoding)
        self.first = nn.Linear(self.input.width, architecture.width)
        self.blocks = nn.Sequential(*(Block(architecture) for _ in range(architecture.depth)))
        self.last = nn.Sequential(nn.LayerNorm(architecture.width), architecture.activate())
        self.head = nn.Linear(architecture.width, n_outputs)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[..., n] rows -> [..., n, outputs]"""
        out: Tensor = self.head(self.last(self.blocks(self.first(self.input(batch)))))
        return out


architectures.add("resnet", ResidualMLP)

"""Gated MLP: each block multiplies a linear reading by an activated one (GLU, Shazeer 2020)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from alnico.networks._architecture import Architecture, architectures
from alnico.networks._table_input import TableInput
from alnico.types import Inputs


class Gate(nn.Module):
    """activation(A x) * (B x), then dropout."""

    def __init__(self, in_width: int, architecture: Architecture) -> None:
        super().__init__()
        self.both = nn.Linear(in_width, 2 * architecture.width)
        self.activation = architecture.activate()
        self.dropout = nn.Dropout(architecture.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_width] -> [..., width]"""
        gate, value = self.both(x).chunk(2, dim=-1)
        out: Tensor = self.dropout(self.activation(gate) * value)
        return out


class GatedMLP(nn.Module):
    """Gated blocks over table rows."""

    def __init__(self, architecture: Architecture, inputs: Inputs, n_outputs: int) -> None:
        super().__init__()
        self.input = TableInput(inputs, architecture.encoding)
        widths = [self.input.width, *[architecture.width] * architecture.depth]
        self.gates = nn.Sequential(*(Gate(width, architecture) for width in widths[:-1]))
        self.head = nn.Linear(architecture.width, n_outputs)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[..., n] rows -> [..., n, outputs]"""
        out: Tensor = self.head(self.gates(self.input(batch)))
        return out


architectures.add("gated", GatedMLP)

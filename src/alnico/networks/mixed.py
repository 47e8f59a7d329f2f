"""Table rows and a word bag in one network: what a table with text calls for, and a student."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from alnico.networks._architecture import Architecture, architectures
from alnico.networks._table_input import TableInput
from alnico.types import Inputs


class Mixed(nn.Module):
    """The sum of word embeddings beside numbers and categories, then a perceptron over both."""

    def __init__(self, architecture: Architecture, inputs: Inputs, n_outputs: int) -> None:
        super().__init__()
        width = architecture.width
        self.embedding = nn.EmbeddingBag(inputs.bag, width, mode="sum")
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.input = TableInput(inputs, architecture.encoding)
        self.dropout = nn.Dropout(architecture.dropout)
        layers: list[nn.Module] = []
        in_width = width + self.input.width
        for _ in range(architecture.depth):
            layers += [nn.Linear(in_width, width), architecture.activate()]
            layers += [nn.Dropout(architecture.dropout)]
            in_width = width
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(in_width, n_outputs)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[n] rows -> [n, outputs]"""
        words = self.embedding(batch["bag"], per_sample_weights=batch["bag_weight"])
        read = torch.cat([self.dropout(words), self.input(batch)], dim=-1)
        out: Tensor = self.head(self.hidden(read))
        return out


architectures.add("mixed", Mixed)

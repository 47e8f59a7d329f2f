"""Word bag: the weighted sum of embeddings of words and word pairs (after Joulin et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from alnico.networks._architecture import Architecture, architectures
from alnico.types import Inputs


class TextBag(nn.Module):
    """A bag of words and word pairs, then a perceptron."""

    def __init__(self, architecture: Architecture, inputs: Inputs, n_outputs: int) -> None:
        super().__init__()
        width = architecture.width
        self.embedding = nn.EmbeddingBag(inputs.bag, width, mode="sum")
        nn.init.normal_(self.embedding.weight, std=0.1)
        layers: list[nn.Module] = [nn.Dropout(architecture.dropout)]
        for _ in range(architecture.depth):
            layers += [nn.Linear(width, width), architecture.activate()]
            layers += [nn.Dropout(architecture.dropout)]
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(width, n_outputs)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[n] rows -> [n, outputs]"""
        bag = self.embedding(batch["bag"], per_sample_weights=batch["bag_weight"])
        out: Tensor = self.head(self.hidden(bag))
        return out


architectures.add("text_bag", TextBag)

"""The registry of architectures, and how one of them is built from its description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import nn

from alnico.errors import RecipeError
from alnico.registry import Registry, suggest
from alnico.types import Inputs

Encoding: TypeAlias = Literal["quantile", "log"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


@dataclass(frozen=True)
class Architecture:
    """What a network is made like; two networks of one architecture have equal shapes.

    Args:
        name: A name of the registry `architectures`.
        encoding: Which encoding of numbers it reads: `quantile` (quantile transform, then
            piecewise-linear embedding) or `log` (log1p, standardised). Text networks read neither.
        depth: Number of hidden blocks, at least 1.
        width: Hidden units of each block; the width of the layer before the last.
        activation: `relu`, `silu` or `gelu`.
        dropout: Share of hidden units dropped in training, in [0, 1).
        layers: Of a `given` network alone: what it is made of, as `networks.given` describes it.

    Raises:
        UnknownNameError: If the name is not registered.
        RecipeError: If a value is out of range.
    """

    name: str
    encoding: Encoding = "quantile"
    depth: int = 2
    width: int = 64
    activation: str = "relu"
    dropout: float = 0.1
    layers: str = ""

    def __post_init__(self) -> None:
        architectures[self.name]
        if self.encoding not in ("quantile", "log"):
            raise RecipeError(
                f"{self.name}: there is no encoding {self.encoding!r}",
                help=suggest(self.encoding, ("quantile", "log")),
            )
        if self.activation not in ACTIVATIONS:
            raise RecipeError(
                f"{self.name}: there is no activation {self.activation!r}",
                help=suggest(self.activation, ACTIVATIONS),
            )
        if self.depth < 1 or self.width < 1 or not 0 <= self.dropout < 1:
            raise RecipeError(
                f"{self.name}: depth and width must be at least 1 and dropout lie in [0, 1), got "
                f"depth {self.depth}, width {self.width}, dropout {self.dropout}"
            )

    @property
    def reads_text(self) -> bool:
        """Whether it reads the text columns, and nothing else."""
        return self.name.startswith("text_")

    @property
    def reads_words(self) -> bool:
        """Whether it reads the text columns, alone or beside the others."""
        return self.reads_text or self.name == "mixed"

    def keys(self, inputs: Inputs) -> tuple[str, ...]:
        """The tensors of a batch that it reads."""
        if self.name == "given":
            return ("raw",)
        if self.name == "text_gru":
            return ("words",) if inputs.words else ()
        bag = ("bag", "bag_weight") if inputs.bag else ()
        if self.name == "text_bag":
            return bag
        if self.name == "mixed" and not self.fits(inputs):
            return ()
        table: tuple[str, ...] = (self.encoding,) if inputs.numbers else ()
        table += ("missing",) if inputs.missing else ()
        table += ("categories",) if inputs.categories else ()
        return table + bag if self.name in ("linear", "mixed") else table

    def fits(self, inputs: Inputs) -> bool:
        """Whether the inputs hold all that it is made to read."""
        if self.name == "mixed":
            return inputs.has_table and inputs.has_text
        return inputs.has_text if self.reads_text else inputs.has_table

    def activate(self) -> nn.Module:
        """A fresh activation layer."""
        return ACTIVATIONS[self.activation]()


Builder: TypeAlias = Callable[[Architecture, Inputs, int], nn.Module]

architectures: Registry[Builder] = Registry("architecture")


def build(
    architecture: Architecture, inputs: Inputs, n_outputs: int, *, seed: int = 0
) -> nn.Module:
    """Make a network with random weights.

    Args:
        architecture: Its description.
        inputs: What it will be fed with.
        n_outputs: Width of its output.
        seed: The weights are a function of this seed and the shapes alone; the global random
            state stays as it was.

    Raises:
        RecipeError: If it reads nothing of these inputs.
    """
    if not architecture.keys(inputs):
        raise RecipeError(
            f"{architecture.name} has nothing to read in {inputs}",
            help="networks whose name begins with text_ read text, the others tables",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architectures[architecture.name](architecture, inputs, n_outputs)

"""Networks for the rows of a table, each a short plain `nn.Module`, behind one registry."""

from alnico.networks._architecture import Architecture, architectures, build
from alnico.networks.dcn import DCN
from alnico.networks.gated import GatedMLP
from alnico.networks.given import Given, describe
from alnico.networks.linear import Linear
from alnico.networks.mixed import Mixed
from alnico.networks.mlp import MLP
from alnico.networks.resnet import ResidualMLP
from alnico.networks.text_bag import TextBag
from alnico.networks.text_gru import TextGRU

__all__ = [
    "DCN",
    "MLP",
    "Architecture",
    "GatedMLP",
    "Given",
    "Linear",
    "Mixed",
    "ResidualMLP",
    "TextBag",
    "TextGRU",
    "architectures",
    "build",
    "describe",
]

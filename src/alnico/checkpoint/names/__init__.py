"""What a tensor is, from names and shapes: its layer, its module, its tokens."""

from alnico.checkpoint.names.counts import num_layers_keys
from alnico.checkpoint.names.layers import Layers, Place, Shapes, Stack, find_layers
from alnico.checkpoint.names.vocabulary import tied, vocabulary_axes, vocabulary_sizes

__all__ = [
    "Layers",
    "Place",
    "Shapes",
    "Stack",
    "find_layers",
    "num_layers_keys",
    "tied",
    "vocabulary_axes",
    "vocabulary_sizes",
]

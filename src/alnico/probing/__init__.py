"""A module over batches: what it says of rows, and what one of its layers holds."""

from alnico.probing.outputs import Outputs, find_layer, read_outputs, tap

__all__ = ["Outputs", "find_layer", "read_outputs", "tap"]

"""A module over batches: what it says of rows, and what the layer before its last one holds."""

from alnico.probing.outputs import Outputs, read_outputs, tap

__all__ = ["Outputs", "read_outputs", "tap"]

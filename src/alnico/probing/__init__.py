"""A module over batches: what it says of rows, what a layer holds, batch norm measured anew."""

from alnico.probing.calibrate import calibrate
from alnico.probing.outputs import Outputs, find_layer, read_outputs, tap

__all__ = ["Outputs", "calibrate", "find_layer", "read_outputs", "tap"]

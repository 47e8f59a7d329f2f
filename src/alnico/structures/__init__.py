"""Structures: ways to join frozen members into one output, one file each, behind one registry."""

from alnico.structures._structure import Learned, Parts, Structure, row_loss, structures
from alnico.structures.attention import Attention
from alnico.structures.average import Average
from alnico.structures.concat import Concat
from alnico.structures.selection import Selection
from alnico.structures.stacking import Stacking

__all__ = [
    "Attention",
    "Average",
    "Concat",
    "Learned",
    "Parts",
    "Selection",
    "Stacking",
    "Structure",
    "row_loss",
    "structures",
]

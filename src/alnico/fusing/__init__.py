"""Ways to make one network of several, or a small one of a large one."""

from alnico.fusing.augment import swap_cells
from alnico.fusing.crossfit import CrossFitted, crossfit
from alnico.fusing.distill import distill
from alnico.fusing.fuse import fuse
from alnico.fusing.fused import Fused
from alnico.fusing.shrink import shrink
from alnico.fusing.soft_loss import distillation_loss
from alnico.fusing.soften import soften
from alnico.fusing.soups import Family, soup_greedy, soup_learned, soup_uniform

__all__ = [
    "CrossFitted",
    "Family",
    "Fused",
    "crossfit",
    "distill",
    "distillation_loss",
    "fuse",
    "shrink",
    "soften",
    "soup_greedy",
    "soup_learned",
    "soup_uniform",
    "swap_cells",
]

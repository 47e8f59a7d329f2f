"""Ways to make one network of several that need merge methods, or structures and their members."""

from alnico.fusing.crossfit import CrossFitted, crossfit
from alnico.fusing.fused import Fused
from alnico.fusing.soups import Family, soup_greedy, soup_learned, soup_uniform

__all__ = [
    "CrossFitted",
    "Family",
    "Fused",
    "crossfit",
    "soup_greedy",
    "soup_learned",
    "soup_uniform",
]

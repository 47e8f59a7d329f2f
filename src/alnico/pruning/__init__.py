"""Smaller networks by removing whole hidden units; what they gave on average stays."""

from alnico.pruning.narrow import narrow_
from alnico.pruning.prune import n_parameters, prune

__all__ = ["n_parameters", "narrow_", "prune"]

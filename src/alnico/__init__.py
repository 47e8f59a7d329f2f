"""alnico fuses networks into one better network: a table's, or your own; and says if it paid."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alnico.checkpoint.scan import scan as scan
    from alnico.errors import AlnicoError as AlnicoError
    from alnico.estimators import FusionClassifier as FusionClassifier
    from alnico.estimators import FusionRegressor as FusionRegressor
    from alnico.fusing.distill import distill as distill
    from alnico.fusing.fuse import fuse as fuse
    from alnico.merging.merge import merge as merge
    from alnico.methods import Fraction as Fraction
    from alnico.methods import Range as Range
    from alnico.methods import method as method
    from alnico.methods import per_model as per_model
    from alnico.predicting import load as load
    from alnico.pruning.prune import prune as prune

__version__ = "0.1.0"

_HOMES = {
    "AlnicoError": "alnico.errors",
    "Fraction": "alnico.methods",
    "FusionClassifier": "alnico.estimators",
    "FusionRegressor": "alnico.estimators",
    "Range": "alnico.methods",
    "distill": "alnico.fusing",
    "fuse": "alnico.fusing",
    "load": "alnico.predicting",
    "merge": "alnico.merging",
    "method": "alnico.methods",
    "per_model": "alnico.methods",
    "prune": "alnico.pruning",
    "scan": "alnico.checkpoint.scan",
}
_MODULES = ("errors", "methods", "structures", "tensors", "testing")

__all__ = [
    "AlnicoError",
    "Fraction",
    "FusionClassifier",
    "FusionRegressor",
    "Range",
    "distill",
    "errors",
    "fuse",
    "load",
    "merge",
    "method",
    "methods",
    "per_model",
    "prune",
    "scan",
    "structures",
    "tensors",
    "testing",
]


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import alnico` loads no torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"alnico.{name}")
    raise AttributeError(f"module 'alnico' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

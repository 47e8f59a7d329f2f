"""alnico fuses networks into one better network: a table's, or your own; and says if it paid."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alnico.checkpoint.opened import Checkpoint as Checkpoint
    from alnico.checkpoint.opened import open_checkpoint as open
    from alnico.checkpoint.scan import scan as scan
    from alnico.errors import AlnicoError as AlnicoError
    from alnico.estimators import FusionClassifier as FusionClassifier
    from alnico.estimators import FusionRegressor as FusionRegressor
    from alnico.fusing.distill import distill as distill
    from alnico.fusing.fuse import fuse as fuse
    from alnico.merging.diff import diff as diff
    from alnico.merging.forms import merge as merge
    from alnico.methods import Fraction as Fraction
    from alnico.methods import Range as Range
    from alnico.methods import method as method
    from alnico.methods import per_model as per_model
    from alnico.predicting import load as load
    from alnico.probing.calibrate import calibrate as calibrate
    from alnico.pruning.prune import prune as prune
    from alnico.recipe.parts import Recipe as Recipe
    from alnico.recipe.run import run_recipe as run
    from alnico.recipe.showing import foresee as plan

__version__ = "0.1.0"

# where a name is; behind a colon what it is called there
_HOMES = {
    "AlnicoError": "alnico.errors",
    "Checkpoint": "alnico.checkpoint.opened",
    "Fraction": "alnico.methods",
    "FusionClassifier": "alnico.estimators",
    "FusionRegressor": "alnico.estimators",
    "Range": "alnico.methods",
    "Recipe": "alnico.recipe.parts",
    "calibrate": "alnico.probing",
    "diff": "alnico.merging.diff",
    "distill": "alnico.fusing",
    "fuse": "alnico.fusing",
    "load": "alnico.predicting",
    "merge": "alnico.merging",
    "method": "alnico.methods",
    "open": "alnico.checkpoint.opened:open_checkpoint",
    "per_model": "alnico.methods",
    "plan": "alnico.recipe.showing:foresee",
    "prune": "alnico.pruning",
    "run": "alnico.recipe.run:run_recipe",
    "scan": "alnico.checkpoint.scan",
}
_MODULES = ("errors", "methods", "structures", "tensors", "testing")

__all__ = [
    "AlnicoError",
    "Checkpoint",
    "Fraction",
    "FusionClassifier",
    "FusionRegressor",
    "Range",
    "Recipe",
    "calibrate",
    "diff",
    "distill",
    "errors",
    "fuse",
    "load",
    "merge",
    "method",
    "methods",
    "open",
    "per_model",
    "plan",
    "prune",
    "run",
    "scan",
    "structures",
    "tensors",
    "testing",
]


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import alnico` loads no torch."""
    if name in _HOMES:
        module, _, there = _HOMES[name].partition(":")
        return getattr(import_module(module), there or name)
    if name in _MODULES:
        return import_module(f"alnico.{name}")
    raise AttributeError(f"module 'alnico' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

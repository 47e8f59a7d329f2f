"""alnico trains several networks, fuses them into one better one, and says honestly if it paid."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alnico.errors import AlnicoError as AlnicoError
    from alnico.estimators import FusionClassifier as FusionClassifier
    from alnico.estimators import FusionRegressor as FusionRegressor
    from alnico.methods import Fraction as Fraction
    from alnico.methods import Range as Range
    from alnico.methods import method as method
    from alnico.methods import per_model as per_model
    from alnico.predicting import load as load

__version__ = "0.1.0"

_HOMES = {
    "AlnicoError": "alnico.errors",
    "Fraction": "alnico.methods",
    "FusionClassifier": "alnico.estimators",
    "FusionRegressor": "alnico.estimators",
    "Range": "alnico.methods",
    "load": "alnico.predicting",
    "method": "alnico.methods",
    "per_model": "alnico.methods",
}
_MODULES = ("errors", "methods", "structures", "testing")

__all__ = [
    "AlnicoError",
    "Fraction",
    "FusionClassifier",
    "FusionRegressor",
    "Range",
    "errors",
    "load",
    "method",
    "methods",
    "per_model",
    "structures",
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

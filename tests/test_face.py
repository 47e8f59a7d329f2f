"""The public face: what `import alnico` offers, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import alnico

NAMES = [
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

DESCRIBE = """
import alnico, json
said = {n: [type(getattr(alnico, n)).__name__, getattr(alnico, n).__name__] for n in alnico.__all__}
print(json.dumps(said))
"""
IMPORT_ALL = """
import importlib, pkgutil, alnico
for module in pkgutil.walk_packages(alnico.__path__, "alnico."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def python(code: str) -> str:
    """Run code in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_these() -> None:
    assert alnico.__all__ == NAMES
    assert dir(alnico) == sorted([*NAMES, "__version__"])
    for name in NAMES:
        assert getattr(alnico, name) is getattr(alnico, name)


def test_every_public_name_is_documented() -> None:
    undocumented = [name for name in NAMES if not getattr(alnico, name).__doc__]
    assert undocumented == []


def test_a_name_that_is_not_there_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'alnico' has no attribute 'melt'"):
        alnico.melt  # noqa: B018
    assert not hasattr(alnico, "predicting_")


def test_importing_it_loads_no_heavy_library() -> None:
    loaded = python("import alnico, sys, json; print(json.dumps(sorted(sys.modules)))")
    heavy = {"torch", "numpy", "sklearn", "polars", "pandas", "scipy", "rich", "typer", "narwhals"}
    assert not heavy & set(json.loads(loaded))


def test_importing_every_submodule_hides_no_public_name() -> None:
    fresh, after = python(DESCRIBE), python(IMPORT_ALL + DESCRIBE)
    assert json.loads(fresh) == json.loads(after)
    kinds = {name: kind for name, (kind, _) in json.loads(fresh).items()}
    modules = {"errors", "methods", "structures", "tensors", "testing"}
    assert {name for name, kind in kinds.items() if kind == "module"} == modules
    assert kinds["FusionClassifier"] == "ABCMeta"
    assert kinds["AlnicoError"] == "type"


def test_its_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert alnico.__version__ == version("alnico")

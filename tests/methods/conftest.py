"""PEFT's merges of task vectors, which ours are compared with."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def peft_merges() -> ModuleType:
    """Its file of formulas alone: the whole package takes seconds to be imported."""
    package = importlib.util.find_spec("peft")
    assert package is not None and package.origin is not None
    file = Path(package.origin).parent / "utils" / "merge_utils.py"
    spec = importlib.util.spec_from_file_location("peft_merge_utils", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

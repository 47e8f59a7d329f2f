"""Merges by others, which ours are compared with, and models to merge."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def peft_merges() -> ModuleType:
    """PEFT's file of formulas alone: the whole package takes seconds to be imported."""
    package = importlib.util.find_spec("peft")
    assert package is not None and package.origin is not None
    file = Path(package.origin).parent / "utils" / "merge_utils.py"
    spec = importlib.util.spec_from_file_location("peft_merge_utils", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def mergekit() -> Callable[..., Tensor]:
    """mergekit's merge of one tensor of every model, under its own names of parameters."""
    merge_methods = pytest.importorskip("mergekit.merge_methods")

    def merge(
        models: Sequence[Tensor], method: str, base: Tensor | None = None, **parameters: object
    ) -> Tensor:
        given = [*models] if base is None else [*models, base]
        index = None if base is None else len(models)
        return merge_methods.merge_tensors(given, method, parameters=parameters, base_index=index)

    return merge


@pytest.fixture
def family() -> Callable[..., tuple[Tensor, Tensor]]:
    """Makes a base, [...], and k models that came from it, [k, ...]."""

    def make(k: int, *shape: int) -> tuple[Tensor, Tensor]:
        base = torch.randn(shape)
        return base, base + torch.randn(k, *shape)

    return make

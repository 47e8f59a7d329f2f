"""A folder with three tiny models of one architecture, and recipes beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

PETS = """\
alnico: 1
models:
  cats: ./cats.safetensors
  dogs: {path: ./dogs.safetensors}
base: ./vit.safetensors
steps:
  - merge:
      method: ties
      weight: {cats: 1.0, dogs: 0.8}
      density: 0.3
      where:
        - {match: "blocks.*.attn.*", density: 0.5}
        - {match: "head.*", keep: cats}
output: ./pets
"""

SHAPES = {
    "embed.weight": (4, 3),
    **{f"blocks.{n}.{part}.weight": (3, 3) for n in range(5) for part in ("attn", "mlp")},
    "head.weight": (2, 3),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds `cats`, `dogs` and `vit`, and nothing else."""
    generator = np.random.default_rng(0)
    for name in ("cats", "dogs", "vit"):
        tensors = {
            key: generator.standard_normal(shape, np.float32) for key, shape in SHAPES.items()
        }
        save_file(tensors, tmp_path / f"{name}.safetensors")
    return tmp_path


@pytest.fixture
def pets() -> str:
    """A recipe without a fault."""
    return PETS


@pytest.fixture
def write(folder: Path) -> Callable[[str], Path]:
    """Write a recipe beside the models."""

    def written(text: str) -> Path:
        path = folder / "pets.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return written

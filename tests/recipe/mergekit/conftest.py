"""Models that exist as headers alone, and recipes that name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from alnico.merging.steps import Form
from alnico.recipe.mergekit import Planned, plan_mergekit
from alnico.recipe.mergekit.parse import parse
from alnico.recipe.mergekit.reading import Reading
from alnico.recipe.mergekit.schema import MergekitRecipe
from alnico.recipe.yaml_text import parse_documents

RECIPE = Path("recipe.yml")
INNER = {"self_attn.q_proj.weight": 2, "mlp.up_proj.weight": 2, "input_layernorm.weight": 1}


@dataclass(frozen=True)
class Header:
    """An opened model of which nothing can be read."""

    tensors: Mapping[str, Form]
    config: Mapping[str, object] | None = field(default_factory=dict)
    folder: Path | None = Path("there")


def _stack(count: int, prefix: str, *, width: int, dtype: str) -> dict[str, Form]:
    return {
        f"{prefix}{layer}.{name}": Form(dtype, (width,) * axes)
        for layer in range(count)
        for name, axes in INNER.items()
    }


def _llama(
    layers: int = 4,
    *,
    width: int = 8,
    tokens: int = 16,
    dtype: str = "F32",
    head: bool = True,
    more: Mapping[str, Form] | None = None,
    **config: object,
) -> Header:
    outer = Form(dtype, (tokens, width))
    tensors = {"model.embed_tokens.weight": outer}
    tensors |= _stack(layers, "model.layers.", width=width, dtype=dtype)
    tensors |= {"model.norm.weight": Form(dtype, (width,))}
    tensors |= {"lm_head.weight": outer} if head else {}
    says: dict[str, object] = {
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": layers,
        "vocab_size": tokens,
        "tie_word_embeddings": not head,
    }
    return Header({**tensors, **(more or {})}, says | config)


@pytest.fixture
def header() -> Callable[..., Header]:
    return Header


@pytest.fixture
def llama() -> Callable[..., Header]:
    """A causal language model of a few layers, each of three tensors."""
    return _llama


@pytest.fixture
def stack() -> Callable[..., dict[str, Form]]:
    return _stack


@pytest.fixture
def read() -> Callable[..., MergekitRecipe]:
    """A recipe from its text."""

    def read(text: str, *, strict: bool = False) -> MergekitRecipe:
        return parse(parse_documents(text, RECIPE)[0], RECIPE, strict=strict)

    return read


@pytest.fixture
def reading() -> Callable[..., Reading]:
    def reading(text: str, *, strict: bool = False) -> Reading:
        return Reading(parse_documents(text, RECIPE)[0], RECIPE, strict=strict)

    return reading


@pytest.fixture
def plan(read: Callable[..., MergekitRecipe]) -> Callable[..., Planned]:
    """The plan of a recipe's text over models by name."""

    def plan(text: str, *, strict: bool = False, **given: Any) -> Planned:
        options = {key: given.pop(key) for key in ("exact", "seed") if key in given}
        return plan_mergekit(read(text, strict=strict), open_model=given.__getitem__, **options)

    return plan

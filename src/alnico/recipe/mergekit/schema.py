"""What a mergekit recipe says, in its own words, checked but not yet applied to any model.

`models`, `slices` and `modules` are three ways to say one thing, and end in one form here: modules
of slices of sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Scalar: TypeAlias = "bool | int | float | str"

WHOLE = "default"
"""What mergekit calls the only module of a model that has no others."""


@dataclass(frozen=True)
class Reference:
    """A model as a recipe names it.

    Args:
        path: A folder, a file, or a name on the hub.
        revision: Of a name on the hub.
    """

    path: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.path if self.revision is None else f"{self.path}@{self.revision}"


@dataclass(frozen=True)
class Rule:
    """A value for the tensors whose names contain a text.

    Args:
        value: One value, or a gradient: values from the first layer of a slice to its last.
        filter: The text; None for all tensors.
        line: Where it stands in the recipe.
    """

    value: Scalar | tuple[Scalar, ...]
    filter: str | None = None
    line: int | None = None


Parameters: TypeAlias = Mapping[str, tuple[Rule, ...]]
"""The rules of each parameter; the first that fits a tensor holds."""


@dataclass(frozen=True)
class Source:
    """One model in one slice.

    Args:
        model: Which.
        layers: From which layer to before which; None for all that it has.
        parameters: That hold for it alone.
        line: Where it stands in the recipe.
    """

    model: Reference
    layers: tuple[int, int] | None = None
    parameters: Parameters = field(default_factory=dict)
    line: int | None = None


@dataclass(frozen=True)
class Slice:
    """Layers of the output that are made in one way; a recipe without slices has one of all.

    Args:
        sources: The models that it is made of.
        base: The model whose changes are merged.
        parameters: That hold for it alone.
    """

    sources: tuple[Source, ...]
    base: Reference | None = None
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class Module:
    """A part of the model, e.g. the vision tower, with its slices from bottom to top.

    Args:
        slices: At least one.
        parameters: That hold for it alone.
    """

    slices: tuple[Slice, ...]
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class TokenRule:
    """Where the embedding of one token comes from.

    Args:
        kind: A model's embedding of the same token; of another token; or zeros.
        model: Whose.
        token: The other token, if it is given by its text.
        token_id: The other token, if it is given by its number.
        force: Whether it replaces the embedding in the models that have the token, too.
    """

    kind: Literal["model", "model_token", "zero"]
    model: Reference | None = None
    token: str | None = None
    token_id: int | None = None
    force: bool = False


@dataclass(frozen=True)
class TokenizerBlock:
    """What a recipe asks of the tokenizer.

    Args:
        source: `union` of all, the `base` model's, or a model's; None keeps the donor's as it is.
        tokens: Rules of single tokens.
        pad_to_multiple_of: What the number of embeddings is a multiple of.
        chat_template: `auto`, the name of a template, or a template; None keeps the donor's.
    """

    source: Literal["union", "base"] | Reference | None = None
    tokens: Mapping[str, TokenRule] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None
    chat_template: str | None = None


@dataclass(frozen=True)
class MergekitRecipe:
    """One document.

    Args:
        path: The file, as messages call it.
        name: What later documents of the file call its result; None for the last result.
        method: One of mergekit's.
        modules: By name.
        base: Named for the whole recipe.
        dtype: What inputs are converted to, as safetensors calls it; None promotes them.
        out_dtype: What the result is converted to; None keeps it.
        parameters: That hold where nothing nearer does.
        tokenizer: None keeps the donor's.
        said: What the user should know of it, a line each.
    """

    path: Path
    name: str | None
    method: str
    modules: Mapping[str, Module]
    base: Reference | None = None
    dtype: str | None = None
    out_dtype: str | None = None
    parameters: Parameters = field(default_factory=dict)
    tokenizer: TokenizerBlock | None = None
    said: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[Reference, ...]:
        """The models that are merged, each once, in the order in which they are named."""
        found = dict.fromkeys(
            source.model
            for module in self.modules.values()
            for part in module.slices
            for source in part.sources
        )
        return tuple(found)

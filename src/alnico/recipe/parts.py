"""What a recipe of alnico's own says, once it was read: names are known, values are in range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from alnico.checkpoint.submodule import named_part

if TYPE_CHECKING:
    from alnico.merging.vocabulary import Vocabulary

BASE = "base"
"""What a rule calls the base; no model can be called so."""

UNION = "union"
"""What a recipe calls the tokens of all models; no model can be called so."""

ZERO = "zero"
"""What a recipe calls an embedding of zeros; no model can be called so."""

DTYPES = {"float64": "F64", "float32": "F32", "bfloat16": "BF16", "float16": "F16"}
"""The dtypes that an output can have, and safetensors' names of them."""


@dataclass(frozen=True)
class Source:
    """Where a model is.

    Args:
        text: The path or the hub's name, as the recipe gives it.
        path: The path on disk, as `open` takes it; None for a model of the hub.
        revision: Of a model of the hub.
        sha256: The digest that its file must have.
        part: The pattern of the tensors that are seen, e.g. `language_model.*`; None for all.
    """

    text: str
    path: Path | None
    revision: str | None = None
    sha256: str | None = None
    part: str | None = None

    @property
    def reference(self) -> str:
        """What `open_checkpoint` takes."""
        if self.path is not None:
            return str(self.path)
        return self.text if self.revision is None else f"{self.text}@{self.revision}"

    @property
    def label(self) -> str:
        """What plans and records call it."""
        return self.reference if self.part is None else named_part(self.reference, self.part)


@dataclass(frozen=True)
class Gradient:
    """A number that goes from the first layer to the last in even steps.

    Tensors before the layers have the first value, those after them the last.

    Args:
        start: At the first layer.
        stop: At the last.
    """

    start: float
    stop: float

    def at(self, t: float) -> float:
        """Its value at `t`, from 0 to 1; rounding never takes it past an end."""
        value = self.start * (1 - t) + self.stop * t
        return min(max(value, min(self.start, self.stop)), max(self.start, self.stop))


Setting: TypeAlias = "bool | int | float | str | Gradient | tuple[float | Gradient, ...]"
"""The value of a parameter: one for all models, or one for each in the order of the step."""


@dataclass(frozen=True)
class Rule:
    """What is different for some tensors.

    Args:
        match: A pattern of names: `*` stands for any characters, dots included, `?` for
            one, `[01]` for one of these.
        parameters: What parameters are there.
        keep: The model whose tensors are copied; None where they are merged.
        line: Where the recipe says it.
    """

    match: str
    parameters: Mapping[str, Setting] = field(default_factory=dict)
    keep: str | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class MergeStep:
    """The step that makes one model of several.

    Args:
        method: The name of a merge method.
        models: Names of models, in the order in which the method sees them.
        parameters: Of the method; others have their defaults.
        where: What is different for some tensors; later rules win.
        line: Where the recipe says it.
    """

    method: str
    models: tuple[str, ...]
    parameters: Mapping[str, Setting] = field(default_factory=dict)
    where: tuple[Rule, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Recipe:
    """A recipe of alnico's own.

    Args:
        path: Its file, as messages call it.
        models: Name -> where it is, in order.
        merge: The one step of this version.
        base: The model that all came from.
        seed: Of methods that draw random numbers.
        output: Where the merged model is written.
        dtype: Of the merged model, e.g. `bfloat16`; None keeps that of the models.
        shard_size: The most bytes of one file of weights; None leaves it to the writer.
        tokenizer: Of the merged model; in it, models have their names in the recipe. None keeps
            that of the first model.
    """

    path: Path = field(compare=False)
    models: Mapping[str, Source]
    merge: MergeStep
    base: Source | None = None
    seed: int = 0
    output: Path | None = None
    dtype: str | None = None
    shard_size: int | None = None
    tokenizer: Vocabulary | None = None

    @property
    def sources(self) -> dict[str, Source]:
        """The models that the step merges, in its order: those that must be opened."""
        return {name: self.models[name] for name in self.merge.models}

    @property
    def lenders(self) -> dict[str, Source]:
        """The models that are not merged, but asked for their tokens."""
        if self.tokenizer is None:
            return {}
        rules = self.tokenizer.tokens.values()
        asked = dict.fromkeys([self.tokenizer.model, *(rule.model for rule in rules)])
        others = [name for name in asked if name is not None and name not in self.merge.models]
        return {name: self.models[name] for name in others if name in self.models}

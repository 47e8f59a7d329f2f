"""The models that a recipe names, as far as their headers and configs tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from alnico.checkpoint.names import tied, vocabulary_axes
from alnico.merging.steps import Form, Forms


class Tensor(Protocol):
    """What is known of a tensor before it is read."""

    @property
    def dtype(self) -> str:
        """As safetensors calls it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""


class Opened(Protocol):
    """What is asked of an opened model."""

    @property
    def folder(self) -> Path | None:
        """Where its config lies; None for a file that is given by itself."""

    @property
    def config(self) -> Mapping[str, object] | None:
        """What its config.json holds."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Its tensors, in the order of its files."""


@dataclass(frozen=True)
class Model:
    """One model of a recipe.

    Args:
        label: What messages call it.
        forms: Its tensors.
        config: What its config.json holds; None if it has none.
        is_file: Whether it was given as a file by itself, as mergekit-pytorch takes it.
    """

    label: str
    forms: Forms
    config: Mapping[str, object] | None = None
    is_file: bool = False

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The lengths of each tensor."""
        return {name: form.shape for name, form in self.forms.items()}

    @cached_property
    def stand_ins(self) -> Mapping[str, str]:
        """Tensors that it lacks, and those that hold their values, because its config ties them."""
        return tied(self.config, self.shapes)

    @cached_property
    def vocabulary(self) -> Mapping[str, int]:
        """Tensors that are indexed by tokens, and along which axis."""
        return vocabulary_axes(self.shapes, self.config)

    def holds(self, name: str) -> str | None:
        """What it calls a tensor, or the one that holds its values; None if it has neither."""
        return name if name in self.forms else self.stand_ins.get(name)


def describe(label: str, opened: Opened) -> Model:
    """A model from what was opened.

    Args:
        label: What messages call it.
        opened: The model.
    """
    forms = {name: Form(entry.dtype, entry.shape) for name, entry in opened.tensors.items()}
    return Model(label, forms, opened.config, opened.folder is None)

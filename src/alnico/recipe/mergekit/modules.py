"""Which tensors belong to which module of a recipe, by the parts of their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from alnico.errors import RecipeError
from alnico.recipe.mergekit.schema import WHOLE
from alnico.registry import suggest

ALSO = {
    "text_decoder": ("language_model", "text_model"),
    "vision_tower": ("vision_model", "visual"),
    "vision_model": ("vision_tower", "visual"),
    "multi_modal_projector": ("merger", "mm_projector", "connector"),
}
"""Parts of names that a module of mergekit's goes by, besides its own name."""

REST = ("text_decoder", "decoder")
"""The first of these has what is in no module, e.g. embeddings and heads."""


def divide(names: Iterable[str], modules: Sequence[str], *, label: str) -> Mapping[str, str]:
    """The module of each tensor that is in one; if several fit, the innermost part decides.

    Args:
        names: Of tensors.
        modules: As a recipe calls them.
        label: What messages call the model.

    Raises:
        RecipeError: If a module has no tensor.
    """
    listed = list(names)
    if list(modules) == [WHOLE]:
        return dict.fromkeys(listed, WHOLE)
    called = {part: name for name in modules for part in ALSO.get(name, ())}
    called |= {name: name for name in modules}
    found = {name: _innermost(name, called) for name in listed}
    rest = next((name for name in REST if name in modules), None)
    others = {part for name, parts in ALSO.items() for part in (name, *parts) if name != rest}
    for name in listed:
        if found[name] is None and others.isdisjoint(name.split(".")):
            found[name] = rest
    for module in modules:
        if module not in found.values():
            parts = dict.fromkeys(part for name in listed for part in name.split(".")[:2])
            raise RecipeError(
                f"module {module}: no tensor of {label} is in it",
                help=suggest(module, parts, all_of_them="names begin with"),
            )
    return {name: module for name, module in found.items() if module is not None}


def _innermost(name: str, called: Mapping[str, str]) -> str | None:
    return next((called[part] for part in reversed(name.split(".")) if part in called), None)

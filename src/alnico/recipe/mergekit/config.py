"""What the config of the result must say otherwise than its donor's: how many layers there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from alnico.checkpoint.names import num_layers_keys
from alnico.recipe.mergekit.layout import n_layers
from alnico.recipe.mergekit.models import Model
from alnico.recipe.mergekit.schema import WHOLE, MergekitRecipe, Module, Reference

KeyPath = tuple[str, ...]
PARTS = ("text", "vision", "audio", "encoder", "decoder")
"""Words in the keys of a config that stand for a module."""

TIE = "tie_word_embeddings"


def changed_config(
    recipe: MergekitRecipe, models: Mapping[Reference, Model], donor: Model, written: Iterable[str]
) -> dict[KeyPath, object]:
    """New values of the donor's config, by the way to each.

    Args:
        recipe: What is asked.
        models: All of the recipe's.
        donor: Whose config is taken.
        written: The tensors of the result.
    """
    if donor.config is None:
        return {}
    found: dict[KeyPath, object] = {}
    for name, module in recipe.modules.items():
        count = n_layers(module)
        if count is None:
            continue
        for path in _paths(donor.config, name):
            is_count = not isinstance(value_at(donor.config, path), list)
            found[path] = count if is_count else list(_per_layer(module, models, path))
    if not donor.stand_ins.keys().isdisjoint(written):
        nested = [(key, TIE) for key, value in donor.config.items() if _has_tie(value)]
        found |= dict.fromkeys([(TIE,), *nested], False)
    return found


def uncounted(recipe: MergekitRecipe, donor: Model, changes: Mapping[KeyPath, object]) -> list[str]:
    """What is said where layers were sliced and the config has no number of them to be changed."""
    is_sliced = any(n_layers(module) is not None for module in recipe.modules.values())
    if not is_sliced or donor.config is None or changes:
        return []
    return [f"the config of {donor.label} does not say how many layers there are: see to it"]


def value_at(config: Mapping[str, object] | None, path: KeyPath) -> object:
    """What a config says there; None if nothing."""
    value: object = config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _paths(config: Mapping[str, object], module: str) -> Sequence[KeyPath]:
    """The keys that count the layers of a module."""
    paths = num_layers_keys(config)
    word = _word(module)
    own = [path for path in paths if word is not None and word in _words(path)]
    if own or module == WHOLE:
        return own or paths
    return [path for path in paths if not _words(path)]


def _word(module: str) -> str | None:
    if module == "language_model":
        return "text"
    return next((part for part in PARTS if module.startswith(part[:3])), None)


def _words(path: KeyPath) -> set[str]:
    return {part for part in PARTS if any(part in key for key in path)}


def _per_layer(
    module: Module, models: Mapping[Reference, Model], path: KeyPath
) -> Iterator[object]:
    """The values of the layers that the result is made of, in its order."""
    for part in module.slices:
        source = next((s for s in part.sources if s.model == part.base), part.sources[0])
        values = value_at(models[source.model].config, path)
        if isinstance(values, list) and source.layers is not None:
            yield from values[slice(*source.layers)]


def _has_tie(value: object) -> bool:
    return isinstance(value, Mapping) and TIE in value

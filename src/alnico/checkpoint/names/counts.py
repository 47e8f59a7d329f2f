"""Where a model's config says how many layers there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str, ...]
"""Keys of nested mappings, the outermost first, e.g. `("text_config", "num_hidden_layers")`."""

_COUNTS = frozenset(
    {
        "num_hidden_layers",
        "num_layers",
        "n_layer",
        "n_layers",
        "encoder_layers",
        "decoder_layers",
        "num_encoder_layers",
        "num_decoder_layers",
        "depth",
    }
)


def num_layers_keys(config: Mapping[str, object] | None) -> list[KeyPath]:
    """The keys that count layers, and those that hold a list with a value for each layer.

    A list is one of a value for each layer if it is as long as a count beside it and its values
    are words or truths (`layer_types`), or it says where positions are used (`no_rope_layers`).
    Lists of layer numbers are not.

    Args:
        config: As config.json holds it.

    Returns:
        The outermost first. Modules with layers of their own each have theirs: choose by path, or
        by the count that the config holds there.
    """
    found: list[KeyPath] = []
    mappings: list[tuple[KeyPath, Mapping[str, object]]] = [((), config or {})]
    for path, mapping in mappings:  # it grows while it is read
        counts = {k for k, value in mapping.items() if k in _COUNTS and type(value) is int}
        lengths = {mapping[key] for key in counts}
        for key, value in mapping.items():
            if key in counts or (_is_per_layer(key, value) and _length(value) in lengths):
                found.append((*path, key))
            elif isinstance(value, dict):
                mappings.append(((*path, key), value))
    return found


def _is_per_layer(key: str, value: object) -> bool:
    if not isinstance(value, list) or not ("layer" in key or key.endswith("types")):
        return False
    return key == "no_rope_layers" or all(isinstance(entry, str | bool) for entry in value)


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else -1

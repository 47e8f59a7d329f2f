"""A model's config.json, which says of its weights what they are."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alnico.checkpoint.files import writing
from alnico.errors import RecipeError
from alnico.registry import suggest

CONFIG = "config.json"

_CALLED = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
"""The dtypes of weights -> what a config calls them."""


def write_config(folder: Path, config: Mapping[str, object], dtype: str, **changes: object) -> None:
    """Write `config.json`, whose dtype is that of the files, for the parts of the model, too.

    `dtype` and `torch_dtype` are set wherever the config has them; where it has neither, nothing
    is said. All else is kept as it is, in its order.

    Args:
        folder: Where it is to be.
        config: A model's config.
        dtype: What the weights are, as safetensors names it, e.g. `BF16`.
        **changes: Keys that become something else, e.g. `num_hidden_layers`.

    Raises:
        RecipeError: If a config has no name for the dtype.
        OutputError: If it cannot be written.
    """
    if dtype not in _CALLED:
        raise RecipeError(
            f"a config cannot say that weights are {dtype!r}",
            help=suggest(dtype, _CALLED, all_of_them="it has names for"),
        )
    text = json.dumps({**_told(config, _CALLED[dtype]), **changes}, indent=2) + "\n"
    path = folder / CONFIG
    with writing(path):
        path.write_text(text, "utf-8")


def with_changes(
    config: Mapping[str, object], changes: Mapping[tuple[str, ...], object]
) -> dict[str, object]:
    """A config with new values.

    Args:
        config: A model's config; it stays as it is.
        changes: By the keys on the way to each.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(config))
    for (*way, key), value in changes.items():
        inner = changed
        for step in way:
            inner = inner.setdefault(step, {})
        inner[key] = value
    return changed


def _told(config: Mapping[str, object], dtype: str) -> dict[str, object]:
    """The config with its dtypes set; what it says of quantisation is left as it is."""
    told = dict(config)
    for key, value in config.items():
        if key in ("dtype", "torch_dtype"):
            told[key] = dtype
        elif (
            isinstance(value, Mapping) and key.endswith("_config") and key != "quantization_config"
        ):
            told[key] = _told(value, dtype)
    return told

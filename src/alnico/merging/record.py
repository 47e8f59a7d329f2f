"""How a merged model came about, for its record and in one line."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from alnico.checkpoint.files import sha256
from alnico.merging.passes import Merged
from alnico.merging.plan import Plan
from alnico.merging.plugin import file_of
from alnico.merging.sources import Source
from alnico.methods._method import plain

VERSION = 1


def describe(plan: Plan) -> str:
    """The method and its parameters: `ties weight=1 density=0.2 scale=1`."""
    shown = [f"{name}={_short(plain(value))}" for name, value in plan.parameters.items()]
    return " ".join([plan.method.name, *shown])


def make_record(
    plan: Plan, models: Sequence[Source], base: Source | None, done: Merged
) -> dict[str, object]:
    """All that is to be known of a merge but its output; JSON can hold it."""
    plugin = file_of(plan.method)
    return {
        "alnico_merge": VERSION,
        "method": plan.method.name,
        "plugin": None if plugin is None else _describe_file(plugin),
        "parameters": {name: plain(value) for name, value in plan.parameters.items()},
        "models": [_describe_file(model.path) for model in models],
        "base": None if base is None else _describe_file(base.path),
        "tensors": done.fates(),
        "versions": {"alnico": version("alnico"), "torch": torch.__version__.split("+")[0]},
    }


def _describe_file(path: Path) -> dict[str, object]:
    return {"path": str(path), "sha256": sha256(path), "bytes": path.stat().st_size}


def _short(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_short, value))
    return f"{value:g}" if isinstance(value, float) else str(value)

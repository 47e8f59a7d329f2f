"""Merge methods over whole models: every tensor of every model, accounted for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alnico.merging.files import merge_files as merge_files
    from alnico.merging.files import merge_paths as merge_paths
    from alnico.merging.forms import merge as merge
    from alnico.merging.plugin import load_plugin as load_plugin
    from alnico.merging.states import merge_modules as merge_modules
    from alnico.merging.states import merge_states as merge_states

_HOMES = {
    "load_plugin": "plugin",
    "merge": "forms",
    "merge_files": "files",
    "merge_modules": "states",
    "merge_paths": "files",
    "merge_states": "states",
}
__all__ = [
    "load_plugin",
    "merge",
    "merge_files",
    "merge_modules",
    "merge_paths",
    "merge_states",
]


def __getattr__(name: str) -> object:
    """Load a name on first use: merging files needs no torch, merging modules does."""
    if name in _HOMES:
        return getattr(import_module(f"alnico.merging.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'alnico.merging' has no attribute {name!r}")

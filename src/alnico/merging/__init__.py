"""Merge methods over whole models: every tensor of every model, accounted for."""

from __future__ import annotations

from alnico.merging.files import merge_files, merge_paths
from alnico.merging.merge import merge
from alnico.merging.plugin import load_plugin
from alnico.merging.states import merge_modules, merge_states

__all__ = [
    "load_plugin",
    "merge",
    "merge_files",
    "merge_modules",
    "merge_paths",
    "merge_states",
]

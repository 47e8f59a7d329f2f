"""Merge methods over whole models: every tensor of every model, accounted for."""

from __future__ import annotations

from alnico.merging.merge import merge_modules, merge_states

__all__ = ["merge_modules", "merge_states"]

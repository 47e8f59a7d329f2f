"""Recipes: YAML files that say what is merged, alnico's own and mergekit's."""

from __future__ import annotations

from alnico.recipe.flags import from_flags
from alnico.recipe.kinds import kind_of
from alnico.recipe.native import plan_recipe, read_recipe
from alnico.recipe.options import Options
from alnico.recipe.parts import Recipe
from alnico.recipe.run import run_recipe
from alnico.recipe.showing import foresee
from alnico.recipe.yaml_form import to_yaml

__all__ = [
    "Options",
    "Recipe",
    "foresee",
    "from_flags",
    "kind_of",
    "plan_recipe",
    "read_recipe",
    "run_recipe",
    "to_yaml",
]

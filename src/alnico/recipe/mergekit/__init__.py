"""mergekit's recipes, unchanged: from its YAML to a plan of this house."""

from alnico.recipe.mergekit.planning import Planned, plan_mergekit
from alnico.recipe.mergekit.schema import MergekitRecipe, TokenizerBlock, TokenRule
from alnico.recipe.mergekit.stages import Promised, Stage, plan_stages, read_stages

__all__ = [
    "MergekitRecipe",
    "Planned",
    "Promised",
    "Stage",
    "TokenRule",
    "TokenizerBlock",
    "plan_mergekit",
    "plan_stages",
    "read_stages",
]

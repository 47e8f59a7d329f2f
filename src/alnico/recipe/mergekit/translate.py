"""A method of mergekit's with all its parameters, in this house's words.

mergekit's defaults are set one by one, so that a recipe means what it meant where ours differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alnico.methods import Method, methods
from alnico.methods._method import Value
from alnico.recipe.mergekit.table import Contract

RENAMED = {
    "lambda": "scale",
    "gamma": "outliers",
    "nuslerp_row_wise": "row_wise",
    "nuslerp_flatten": "flatten",
    "normalize_weights": "normalize",
    "eps": "epsilon",
    "tol": "tolerance",
    "select_topk": "density",
}
"""mergekit's name -> ours, where they differ."""

WORDS = {"normalize": ("none", "weights"), "rescale": ("none", "l1")}
"""What ours says for false and for true, where mergekit has a switch."""

FIXED: Mapping[str, Mapping[str, Value]] = {"sce": {"least_energy": 1e-6}}
"""What mergekit has no parameter for."""


def translate(
    contract: Contract, given: Mapping[str, Value | None]
) -> tuple[Method, dict[str, Value]]:
    """The method, and its parameters in our words.

    Args:
        contract: Of mergekit's method.
        given: Its parameters in mergekit's words; a list where each model has its own.
    """
    method = methods[contract.name]
    known = {parameter.name: parameter for parameter in method.parameters}
    found: dict[str, Value] = dict(FIXED.get(contract.name, {}))
    for name, value in given.items():
        ours = "spread" if name == "epsilon" and "spread" in known else RENAMED.get(name, name)
        if value is None or name == "int8_mask" or name in contract.unused:
            continue
        if ours in WORDS and known[ours].type is str:
            found[ours] = WORDS[ours][bool(value)]
        elif known[ours].per_model or not isinstance(value, Sequence) or isinstance(value, str):
            found[ours] = value
        else:  # one model, one value: passthrough's scale
            (found[ours],) = value
    return method, found

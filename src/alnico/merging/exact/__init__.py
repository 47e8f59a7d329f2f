"""mergekit's twenty methods in its own arithmetic: the same bits as mergekit 0.1.5, whole tensors.

They are written from published formulas and from what mergekit gives, for recipes that must give
the same bits; `alnico.methods` has the papers' methods. What they take:

- `tensors`: one of every model, in the order of the recipe, of one shape and of the dtype that is
  computed in. The base is none of them, but for `linear` and `karcher`, which know none, and
  `slerp`, whose first it is.
- `base`: the base model's tensor, or None.
- `parameters`: by mergekit's names, all of them; a list has one value for each of `tensors`.

The DARE and DELLA methods and `arcee_fusion` draw from torch's global generator: `seed_all` comes
first, then the output's tensors in the order of `order_key`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from alnico.merging.exact.averages import linear, model_stock, passthrough
from alnico.merging.exact.order import order_key, seed_all
from alnico.merging.exact.picks import arcee_fusion, nearswap, ram, ramplus_tl, sce
from alnico.merging.exact.spheres import karcher, multislerp, nuslerp, slerp
from alnico.merging.exact.task_vectors import (
    breadcrumbs,
    breadcrumbs_ties,
    dare_linear,
    dare_ties,
    della,
    della_linear,
    task_arithmetic,
    ties,
)
from alnico.merging.steps import Exact

__all__ = ["exact", "order_key", "seed_all"]

_FUNCTIONS = (
    linear,
    slerp,
    nuslerp,
    multislerp,
    karcher,
    passthrough,
    task_arithmetic,
    ties,
    dare_ties,
    dare_linear,
    breadcrumbs,
    breadcrumbs_ties,
    della,
    della_linear,
    model_stock,
    nearswap,
    sce,
    arcee_fusion,
    ram,
    ramplus_tl,
)

exact: Mapping[str, Exact] = MappingProxyType(
    {function.__name__: Exact(function.__name__, function) for function in _FUNCTIONS}
)
"""mergekit's methods by their names."""

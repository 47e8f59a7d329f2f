"""A merge method of one's own: `alnico merge ... --plugin breadcrumbs.py --method breadcrumbs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import alnico
from alnico.tensors import sparsify

if TYPE_CHECKING:
    from torch import Tensor


@alnico.method(paper="https://arxiv.org/abs/2312.06795", symmetric=True)
def breadcrumbs(
    deltas: Tensor, density: alnico.Fraction = 0.9, outliers: alnico.Fraction = 0.01
) -> Tensor:
    """Drop the very largest changes and the small ones, keep the share between, and add up.

    deltas: [k, ...] -> [...]
    """
    kept = sparsify.keep_largest(deltas, min(1.0, density + outliers))
    return (kept - sparsify.keep_largest(deltas, outliers)).sum(0)

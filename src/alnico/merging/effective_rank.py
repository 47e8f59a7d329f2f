"""The effective rank of a matrix: how many directions it really uses; seldom a whole number.

Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality": the exponential
of the entropy of the singular values, taken as shares of their sum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_STRIP = 1 << 22
"""Entries that are read at a time."""


@np.errstate(invalid="ignore", over="ignore")
def effective_rank(
    read: Callable[[int, int], np.ndarray], n_rows: int, n_columns: int
) -> float | None:
    """The effective rank of a matrix that is read strip by strip.

    Its singular values are the roots of the eigenvalues of its Gram matrix on the smaller side,
    m x m: 2 m^2 n operations for it and about 2 m^3 for them, in the memory of a few of it.

    Args:
        read: Gives the entries [start, stop) in row-major order. float64
        n_rows: Of the matrix.
        n_columns: Of the matrix.

    Returns:
        From 1 to the smaller side; None if the matrix is zero, or has no sum that is finite.
    """
    gram = np.zeros((min(n_rows, n_columns),) * 2)
    if n_columns <= n_rows:
        height = max(1, _STRIP // max(1, n_columns))
        for top in range(0, n_rows, height):
            bottom = min(top + height, n_rows)
            strip = read(top * n_columns, bottom * n_columns).reshape(-1, n_columns)
            gram += strip.T @ strip
    else:
        width = max(1, _STRIP // max(1, n_rows))
        for left in range(0, n_columns, width):
            right = min(left + width, n_columns)
            starts = range(0, n_rows * n_columns, n_columns)
            strip = np.stack([read(start + left, start + right) for start in starts])
            gram += strip @ strip.T
    return _of_gram(gram)


def operations(n_rows: int, n_columns: int) -> int:
    """About how many multiplications `effective_rank` takes."""
    small, large = sorted((n_rows, n_columns))
    return small * small * large + 2 * small**3


def _of_gram(gram: np.ndarray) -> float | None:
    if not np.isfinite(gram).all() or not gram.any():
        return None
    found = np.linalg.eigvalsh(gram)
    found[found < found[-1] * len(gram) * np.finfo(np.float64).eps] = 0  # no more than rounding
    sizes = np.sqrt(found)
    shares = sizes[sizes > 0] / sizes.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))

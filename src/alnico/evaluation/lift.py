"""What a ranking is worth to a shop: how many of the sought rows lie among the highest scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def captured(
    sought: NDArray[np.bool_], score: NDArray[np.float64], *, share: float = 0.1
) -> tuple[int, float]:
    """Contact the rows with the highest scores, and count how many of the sought ones are reached.

    Args:
        sought: Which rows are sought, e.g. the buyers. [n]
        score: Higher means likelier. Equal scores share their place. [n]
        share: The share of rows that is contacted, in (0, 1].

    Returns:
        How many rows are contacted, and the share of the sought ones among them.
    """
    n_contacted = max(1, round(share * len(score)))
    cut = np.partition(score, -n_contacted)[-n_contacted]
    above, at = score > cut, score == cut
    left = n_contacted - int(above.sum())
    # of rows that draw at the cut, as many are reached as their share says
    reached = sought[above].sum() + sought[at].sum() * left / at.sum()
    return n_contacted, float(reached / max(1, sought.sum()))

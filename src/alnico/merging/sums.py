"""How far tensors are from one another, as sums over their entries: parts add up to the whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from alnico.checkpoint.header import FLOATS
from alnico.merging.readable import widen


@dataclass(frozen=True)
class Change:
    """What becomes of tensors from one model to another.

    Args:
        n_entries: How many values there are.
        n_changed: Those whose bits differ; of two dtypes, those whose values do.
        n_floats: The floats that are finite in all models; the rest is of these alone.
        square: The sum of squares of the change.
        square_from: That of what is changed.
        largest: The largest magnitude of a change.
        ranks: The effective rank of the change of each matrix for which it was found.
    """

    n_entries: int = 0
    n_changed: int = 0
    n_floats: int = 0
    square: float = 0.0
    square_from: float = 0.0
    largest: float = 0.0
    ranks: tuple[float, ...] = ()

    def __add__(self, other: Change) -> Change:
        return Change(
            self.n_entries + other.n_entries,
            self.n_changed + other.n_changed,
            self.n_floats + other.n_floats,
            self.square + other.square,
            self.square_from + other.square_from,
            max(self.largest, other.largest),
            self.ranks + other.ranks,
        )

    @property
    def distance(self) -> float | None:
        """The L2 norm of the change over that of what is changed; None where that is zero."""
        if self.n_floats and self.square == 0:
            return 0.0
        return _ratio(math.sqrt(self.square), math.sqrt(self.square_from))

    @property
    def share(self) -> float | None:
        """The share of values that changed."""
        return _ratio(self.n_changed, self.n_entries)

    @property
    def greatest(self) -> float | None:
        """The largest magnitude of a change; None where there are no finite floats."""
        return self.largest if self.n_floats else None

    @property
    def rank(self) -> float | None:
        """The mean effective rank of changed matrices; None if it was found of none."""
        return _ratio(math.fsum(self.ranks), len(self.ranks))

    def measures(self) -> dict[str, float | None]:
        """All of these, by what tables call them."""
        return {
            "distance": self.distance,
            "changed": self.share,
            "largest": self.greatest,
            "rank": self.rank,
        }


@dataclass(frozen=True)
class Agreement:
    """How alike two changes are, or two models' values where there is no base.

    Args:
        dot: The sum of products.
        square_a: The sum of squares of the first.
        square_b: That of the second.
        n_same: Entries of one sign in both.
        n_both: Entries that are zero in neither.
    """

    dot: float = 0.0
    square_a: float = 0.0
    square_b: float = 0.0
    n_same: int = 0
    n_both: int = 0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.dot + other.dot,
            self.square_a + other.square_a,
            self.square_b + other.square_b,
            self.n_same + other.n_same,
            self.n_both + other.n_both,
        )

    @property
    def cosine(self) -> float | None:
        """The cosine of the angle between them; None where one is zero."""
        found = _ratio(self.dot, math.sqrt(self.square_a) * math.sqrt(self.square_b))
        return None if found is None else max(-1.0, min(1.0, found))

    @property
    def signs(self) -> float | None:
        """The share of entries with one sign, of those that are zero in neither."""
        return _ratio(self.n_same, self.n_both)


@dataclass(frozen=True)
class Sums:
    """All that is added up over two models, and perhaps their base.

    Args:
        change: From the first to the second.
        from_base: From the base to each; empty changes without a base.
        agreement: Of the changes from the base, or of the values without one.
        nonfinite: Entries that are NaN or infinite in the first, the second and the base.
    """

    change: Change = Change()
    from_base: tuple[Change, Change] = (Change(), Change())
    agreement: Agreement = Agreement()
    nonfinite: tuple[int, int, int] = (0, 0, 0)

    def __add__(self, other: Sums) -> Sums:
        (a, b), (c, d) = self.from_base, other.from_base
        (i, j, k), (p, q, r) = self.nonfinite, other.nonfinite
        return Sums(
            self.change + other.change,
            (a + c, b + d),
            self.agreement + other.agreement,
            (i + p, j + q, k + r),
        )


def total(sums: Iterable[Sums]) -> Sums:
    """All of them together."""
    return sum(sums, Sums())


@np.errstate(invalid="ignore", over="ignore")
def measure(stored: Sequence[np.ndarray], dtypes: Sequence[str]) -> Sums:
    """Compare entries of two models, and with their base's if there is one.

    Args:
        stored: Of the first, the second and perhaps the base, as `header.ARRAYS` says. [n] each
        dtypes: What safetensors calls their dtypes.
    """
    kinds = list(zip(stored, dtypes, strict=True))
    pairs = [(0, 1), *([(2, 0), (2, 1)] if len(kinds) > 2 else [])]
    n_changed = [_count_changed(*kinds[i], *kinds[j]) for i, j in pairs]
    n = len(stored[0])
    if not all(dtype in FLOATS for dtype in dtypes):
        changes = [Change(n, changed) for changed in n_changed]
        return Sums(changes[0], _both(changes[1:]))
    values, nonfinite = _finite([widen(*kind) for kind in kinds])
    deltas = [values[j] - values[i] for i, j in pairs]
    squares = [_dot(each, each) for each in values]
    changes = [
        Change(n, changed, len(delta), _dot(delta, delta), squares[i], _largest(delta))
        for changed, delta, (i, _) in zip(n_changed, deltas, pairs, strict=True)
    ]
    if len(kinds) == 2:
        agreement = _agree(values[0], values[1], squares[0], squares[1])
    else:
        agreement = _agree(deltas[1], deltas[2], changes[1].square, changes[2].square)
    return Sums(changes[0], _both(changes[1:]), agreement, nonfinite)


def _both(changes: Sequence[Change]) -> tuple[Change, Change]:
    return (changes[0], changes[1]) if changes else (Change(), Change())


def _count_changed(x: np.ndarray, x_dtype: str, y: np.ndarray, y_dtype: str) -> int:
    if x_dtype == y_dtype:
        bits = f"u{x.itemsize}"
        return int(np.count_nonzero(x.view(bits) != y.view(bits)))
    here, there = (widen(v, d) if d in FLOATS else v for v, d in ((x, x_dtype), (y, y_dtype)))
    alike = (here == there) | ((here != here) & (there != there))  # NaN is no other than NaN
    return int(np.count_nonzero(~alike))


def _finite(values: list[np.ndarray]) -> tuple[list[np.ndarray], tuple[int, int, int]]:
    """The entries that are finite in all, and how many are not in each."""
    masks = [np.isfinite(each) for each in values]
    counts = [len(mask) - int(np.count_nonzero(mask)) for mask in masks]
    if any(counts):
        whole = np.logical_and.reduce(masks)
        values = [each[whole] for each in values]
    first, second, *base = counts
    return values, (first, second, sum(base))


def _agree(x: np.ndarray, y: np.ndarray, square_x: float, square_y: float) -> Agreement:
    product = x * y
    n_same = int(np.count_nonzero(product > 0))
    n_both = n_same + int(np.count_nonzero(product < 0))
    return Agreement(_dot(x, y), square_x, square_y, n_same, n_both)


def _dot(x: np.ndarray, y: np.ndarray) -> float:
    """A sum of products on this thread alone, so that no number of threads changes its bits."""
    return float(np.einsum("i,i->", x, y))


def _largest(x: np.ndarray) -> float:
    return float(np.abs(x).max(initial=0.0))


def _ratio(over: float, under: float) -> float | None:
    """A fraction; None where it is not defined, or too large for a number."""
    found = over / under if under else math.nan
    return found if math.isfinite(found) else None

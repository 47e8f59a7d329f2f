"""What a loop over a block is asked for, and its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeAlias

import numpy as np

from alnico.tensors.tape import Step

What: TypeAlias = Literal[
    "apply", "gram", "totals", "sizes", "histogram", "refine", "count", "window"
]

LOW_BITS = 15
"""Magnitudes are sorted by their bits: 16 high ones name a bin, these the place in it."""

N_BINS = (0x7F800000 >> LOW_BITS) + 1
LARGEST = 0x7F800000
"""The bits of infinity; NaN counts as that."""

DTYPES = {"F32": np.float32, "BF16": np.uint16, "F16": np.uint16}
"""What kernels read and write -> how its values lie in memory."""


@dataclass(frozen=True)
class Job:
    """A loop over a block.

    Args:
        what: `apply` writes the result; `gram` and `totals` add up; `sizes` writes magnitudes as
            bits; `histogram` counts them by bin, `refine` those of one bin by their low bits,
            `count` those of one magnitude, and `window` lists those between two, with their
            places.
        of: The steps that it is about.
        steps: All steps up to there.
        k: How many models.
        inputs: The dtype of each model's values.
        base: The dtype of the base's values; None if there is none.
        output: The dtype of the result.
    """

    what: What
    of: tuple[int, ...]
    steps: tuple[Step, ...]
    k: int
    inputs: tuple[str, ...]
    base: str | None
    output: str

    @cached_property
    def needed(self) -> list[int]:
        """The steps that it takes, in their order."""
        found: set[int] = set()
        waiting = list(self.of)
        while waiting:
            step = waiting.pop()
            if step not in found:
                found.add(step)
                op, args = self.steps[step].op, self.steps[step].args
                waiting.extend(args[:1] if op == "pick" else args)
        return sorted(found)

    @property
    def ranks(self) -> bool:
        """Whether it takes a step that ranks the entries of a row."""
        return any(self.steps[step].op == "rank" for step in self.needed)

    def width(self, step: int) -> int:
        """How many values a step has for an entry."""
        return self.k if self.steps[step].per_model else 1


class Kernel(Protocol):
    """A loop over a block; what it finds is added to `out`."""

    def __call__(
        self,
        n: int,
        start: int,
        row: int,
        inputs: Sequence[np.ndarray],
        base: np.ndarray,
        floats: np.ndarray,
        ints: np.ndarray,
        wanted: np.ndarray,
        out: Sequence[np.ndarray],
        seen: np.ndarray,
    ) -> None:
        """Run it.

        Args:
            n: How many entries the block has.
            start: Where in the tensor it begins.
            row: How many entries make a row; a block is of whole rows if a step ranks them, and
                otherwise crosses no multiple of 2**32 if there is a random step.
            inputs: Of each model, [n].
            base: Of the base, [n]; anything if there is none.
            floats: The tape's.
            ints: The tape's.
            wanted: [k], the bins or magnitudes that the job is about; of `window` [k, 2], the
                least and the largest.
            out: `apply`: [n]; `gram`: [k, k]; `totals`: [m, k]; `sizes`: [k, n]; counts: [k, bins]
                or [k]; `window`: magnitudes [k, n], places [k, n], how many they are [k],
                how many are larger [k].
            seen: `apply`: the bits of the largest magnitude of each model, of the base if there is
                one, and of the result.
        """

"""What a merge method does, written down step by step: the form that kernels are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from alnico.tensors.small import Small

Question: TypeAlias = Literal["gram", "totals", "cuts"]
"""What can be asked of whole tensors: inner products; sums; the sizes of the n-th largest."""

TRUTHS = frozenset(["<", "<=", ">", ">=", "==", "!=", "&", "|", "not", "largest"])
"""The steps whose values are true or false."""


class NotStreamableError(Exception):
    """The method left the vocabulary: it needs whole tensors, in torch."""


@dataclass(frozen=True)
class Step:
    """One step of a method.

    Args:
        op: What is done.
        args: The steps that it is done to; of `pick`, a step and the model.
        slot: Where its constants lie; -1 if it has none.
        per_model: Whether it has a value for each model, or one for all.
    """

    op: str
    args: tuple[int, ...]
    slot: int
    per_model: bool


class Ask(Exception):
    """Something about whole tensors is needed.

    Args:
        what: The question.
        of: The steps that it is about.
        n_kept: Of `cuts`: how many entries of each model are the largest.
    """

    def __init__(self, what: Question, of: tuple[int, ...], n_kept: tuple[int, ...] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.of = of
        self.n_kept = n_kept


class Tape:
    """The steps of one method on one tensor; equal steps are one. A step is called by its number.

    Args:
        k: How many models.
        n: How many entries each model's tensor has.
        row: How many of them make a row.
        keys: [k, 2], what random numbers of each model follow from.
        answers: Found so far, in the order of the questions.
    """

    def __init__(
        self, k: int, n: int, *, row: int, keys: np.ndarray, answers: Sequence[Any] = ()
    ) -> None:
        self.k, self.n, self.row, self.keys = k, n, row, keys
        self.steps: list[Step] = []
        self.floats: list[float] = []
        self.ints: list[int] = []
        self._answers = list(answers)
        self._n_asked = 0
        self._seen: dict[object, int] = {}

    def put(
        self, op: str, *args: int, slot: int = -1, per_model: bool = True, key: object = None
    ) -> int:
        """Write down a step, or find the one that is equal."""
        known = (op, args, slot if key is None else key)
        if known not in self._seen:
            self.steps.append(Step(op, args, slot, per_model))
            self._seen[known] = len(self.steps) - 1
        return self._seen[known]

    def lift(self, value: object) -> int:
        """A number, or one per model, as a step; constants never become the text of a kernel.

        Raises:
            NotStreamableError: If it is of another form.
        """
        found = np.asarray(value.a if isinstance(value, Small) else value, np.float32)
        if found.size != 1 and found.shape != (self.k,) + (1,) * (found.ndim - 1):
            raise NotStreamableError(f"a value of shape {list(found.shape)}")
        own = found.size == self.k and self.k > 1
        op = "consts" if own else "const"
        key = found.tobytes()
        if (op, (), key) not in self._seen:
            self.floats.extend(found.ravel().tolist())
        return self.put(op, slot=len(self.floats) - found.size, per_model=own, key=key)

    def is_truth(self, step: int) -> bool:
        """Whether the values of a step are true or false, not numbers."""
        here = self.steps[step]
        return self.is_truth(here.args[0]) if here.op == "pick" else here.op in TRUTHS

    def add_ints(self, values: np.ndarray) -> int:
        """Keep whole numbers for the kernel and give the place of the first."""
        self.ints.extend(values.ravel().tolist())
        return len(self.ints) - values.size

    def ask(self, what: Question, of: tuple[int, ...], n_kept: tuple[int, ...] = ()) -> Any:
        """The answer to a question about steps, if it was found before.

        Raises:
            Ask: If it was not.
        """
        if self._n_asked == len(self._answers):
            raise Ask(what, of, n_kept)
        self._n_asked += 1
        return self._answers[self._n_asked - 1]

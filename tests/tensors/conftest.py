"""Plays a method's second reading on arrays: the steps it writes down, as a kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from alnico.tensors import noise
from alnico.tensors.kernels import find_kernel
from alnico.tensors.kernels.job import Job, What
from alnico.tensors.tape import Ask, Tape
from alnico.tensors.traced import Traced

DTYPE = {np.dtype(np.float32): "F32", np.dtype(np.uint16): "BF16", np.dtype(np.float16): "F16"}


class Play:
    """Reads a function of a stack as a kernel and runs it on one block."""

    def __call__(
        self,
        function: Callable[..., Any],
        stack: np.ndarray,
        *,
        base: np.ndarray | None = None,
        compiled: bool = False,
        answers: Sequence[Any] = (),
        row: int = 1,
        start: int = 0,
        output: str = "F32",
    ) -> Any:
        """What the function makes; or, if it asks for sums over the block, the answer."""
        given = {"answers": answers, "row": row, "n": stack.shape[1]}
        models = self.traced(len(stack), **given)
        tape = models.tape
        extra = [] if base is None else [Traced(tape, tape.put("base", per_model=False))]
        try:
            what: What = "apply"
            of: tuple[int, ...] = (function(models, *extra).step,)
            out: Any = np.empty(stack.shape[1], np.float32 if output == "F32" else np.uint16)
        except Ask as ask:
            assert ask.what != "cuts"
            what, of = ask.what, ask.of
            out = np.zeros((len(stack) if what == "gram" else len(of), len(stack)))
        self.run(what, tape, of, stack, base, [out], compiled, start, output)
        return np.triu(out) + np.triu(out, 1).T if what == "gram" else out

    def traced(self, k: int, *, n: int = 10, row: int = 1, answers: Sequence[Any] = ()) -> Traced:
        """A stack without data."""
        tape = Tape(k, n, row=row, keys=noise.keys(0, "x", k), answers=answers)
        return Traced(tape, tape.put("models"))

    def run(
        self,
        what: What,
        tape: Tape,
        of: tuple[int, ...],
        stack: Sequence[np.ndarray] | np.ndarray,
        base: np.ndarray | None,
        out: Sequence[np.ndarray],
        compiled: bool,
        start: int = 0,
        output: str = "F32",
        wanted: np.ndarray | None = None,
    ) -> np.ndarray:
        """Run one job; what was seen comes back."""
        dtypes = tuple(DTYPE[x.dtype] for x in stack)
        root = None if base is None else DTYPE[base.dtype]
        job = Job(what, of, tuple(tape.steps), tape.k, dtypes, root, output)
        seen = np.zeros(tape.k + 2, np.int64)
        given = tuple(x.view(np.uint16) if x.dtype == np.float16 else x for x in stack)
        find_kernel(job, compiled=compiled)(
            len(given[0]),
            start,
            tape.row,
            given,
            given[0] if base is None else base,
            np.array(tape.floats or [0.0], np.float32),
            np.array(tape.ints or [0], np.int64),
            np.zeros(1, np.int64) if wanted is None else wanted,
            tuple(out),
            seen,
        )
        return seen


@pytest.fixture
def play() -> Play:
    """Plays a second reading."""
    return Play()

"""One tensor of every model, read block by block: loops run over the blocks on several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from alnico.tensors.kernels import find_kernel
from alnico.tensors.kernels.job import DTYPES, Job, What
from alnico.tensors.tape import Tape

if TYPE_CHECKING:
    from alnico.checkpoint.opened import Checkpoint
    from alnico.merging.steps import Input, Step

T = TypeVar("T")

BLOCK = 1 << 18
"""Entries of a block: with those of a few models it fits a core's cache."""


class Workers:
    """Threads, and the memory that each keeps for its blocks.

    Args:
        n: How many threads.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._pool = ThreadPoolExecutor(n, "alnico-merge") if n > 1 else None
        self._kept = threading.local()

    def map(self, function: Callable[[T], Any], items: Sequence[T]) -> list[Any]:
        """Call a function with each item; the results are in the items' order."""
        if self._pool is None or len(items) < 2:
            return [function(item) for item in items]
        futures = [self._pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            for future in futures:  # nothing may still write when the output goes away
                if not future.cancelled():
                    future.exception()
            raise

    def buffer(self, place: object, n: int, dtype: Any) -> np.ndarray:
        """This thread's memory for a purpose; what was in it is lost when it is asked for again."""
        kept: dict[object, np.ndarray] = vars(self._kept).setdefault("arrays", {})
        n_bytes = n * np.dtype(dtype).itemsize
        if place not in kept or kept[place].nbytes < n_bytes:
            kept[place] = np.empty(max(n_bytes, 1), np.uint8)
        return kept[place][:n_bytes].view(dtype)

    def close(self) -> None:
        """Let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()


@contextmanager
def working(n: int) -> Iterator[Workers]:
    """Threads for this block of code."""
    workers = Workers(n)
    try:
        yield workers
    finally:
        workers.close()


class Blocks:
    """The blocks of the tensors that one step of a plan merges.

    Args:
        step: The step.
        models: All models of the plan, opened.
        workers: Who runs the loops.
        row: How many entries make a row.
        compiled: Whether the loops are compiled.
        size: How many entries a block has, or a row where that is more.
    """

    def __init__(
        self,
        step: Step,
        models: Sequence[Checkpoint],
        workers: Workers,
        *,
        row: int,
        compiled: bool = True,
        size: int = BLOCK,
    ) -> None:
        self.step, self.models, self.workers, self.row = step, models, workers, row
        self.compiled, self.size = compiled, size
        self.n = step.form.n_entries
        self.inputs = [self._dtype(each) for each in step.inputs]
        self.base = None if step.base is None else self._dtype(step.base)

    def spans(self, *, whole_rows: bool, parts: int = 1) -> list[tuple[int, int]]:
        """Where each block begins and ends, or each of so many parts of it."""
        row, size = max(self.row, 1), max(self.size // parts, 1)
        size = max(row, size // row * row) if whole_rows else size
        return [(at, min(at + size, self.n)) for at in range(0, self.n, size)]

    def run(
        self,
        what: What,
        tape: Tape,
        of: tuple[int, ...],
        out: Callable[[int, int], Sequence[np.ndarray]],
        *,
        wanted: np.ndarray | None = None,
        spans: Sequence[tuple[int, int]] | None = None,
        after: Callable[[int, Sequence[np.ndarray], np.ndarray], Any] | None = None,
        watch: Callable[[Input, int, np.ndarray], None] | None = None,
    ) -> list[Any]:
        """Run a job over all blocks, or over some.

        Args:
            what: The job.
            tape: With the steps that it takes.
            of: The steps that it is about.
            out: From a block's begin and length to where the loop adds what it finds.
            wanted: See `Kernel`.
            spans: The blocks; all by default.
            after: What becomes of a block's begin, what was found, and what was seen.
            watch: Is given every block that is read, with its begin.

        Returns:
            What `after` gave, or else what was found, in the order of the blocks.
        """
        steps = tuple(tape.steps[: max(of) + 1])
        has_base = any(step.op == "base" for step in steps) or what == "apply"
        base = self.base if has_base else None
        job = Job(what, of, steps, tape.k, tuple(self.inputs), base, self.step.form.dtype)
        kernel = find_kernel(job, compiled=self.compiled)
        floats = np.array(tape.floats or [0.0], np.float32)
        ints = np.array(tape.ints or [0], np.int64)
        bins = np.zeros(1, np.int64) if wanted is None else wanted
        ranks = any(step.op == "rank" for step in steps)

        def one(span: tuple[int, int]) -> Any:
            start, n = span[0], span[1] - span[0]
            given = tuple(
                self._read(each, ("input", j), *span) for j, each in enumerate(self.step.inputs)
            )
            root = given[0] if base is None else self._read(self.step.base, "base", *span)
            if watch is not None:
                for each, values in zip(self.step.inputs, given, strict=True):
                    watch(each, start, values)
                if base is not None and self.step.base is not None:
                    watch(self.step.base, start, root)
            found = tuple(out(start, n))
            seen = np.zeros(len(given) + 2, np.int64)
            kernel(n, start, self.row, given, root, floats, ints, bins, found, seen)
            return found if after is None else after(start, found, seen)

        return self.workers.map(one, self.spans(whole_rows=ranks) if spans is None else spans)

    def _dtype(self, each: Input) -> str:
        return self.models[each.model].tensors[each.name].dtype

    def _read(self, each: Input | None, place: object, start: int, stop: int) -> np.ndarray:
        assert each is not None
        dtype = self._dtype(each)
        values = self.workers.buffer(place, stop - start, DTYPES[dtype])
        self.models[each.model].read(each.name, start, stop, values)
        return values

"""A plan carried out: tensor by tensor from the models on disk to the model being written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from alnico.checkpoint.header import ARRAYS
from alnico.errors import IncompatibleModelsError
from alnico.merging.ahead import Ahead
from alnico.merging.blocks import BLOCK, Blocks, Workers, working
from alnico.merging.digests import TensorDigest, digest_stored
from alnico.merging.inputs import Inputs
from alnico.merging.memory import within_memory
from alnico.merging.steps import Exact, Input, Plan, Step
from alnico.merging.stream import Questions, stream
from alnico.methods import methods
from alnico.progress import Phase, detail
from alnico.tensors.kernels.job import LARGEST
from alnico.tensors.sparsify import row_length
from alnico.tensors.tape import NotStreamableError

if TYPE_CHECKING:
    from torch import Tensor

    from alnico.checkpoint.opened import Checkpoint


FEW = 1 << 21
"""Entries of an output that numpy merges in less time than it takes to have numba."""


ROOM = 128 * 2**20
"""How much memory the blocks of all threads may take together."""


class Target(Protocol):
    """Where merged tensors go; see `checkpoint.sink.Sink`."""

    @property
    def done(self) -> Mapping[str, str]:
        """The tensors that are there already -> digest."""

    def put(self, name: str, start: int, block: np.ndarray) -> None:
        """Take a block."""

    def finish(self, name: str, digest: str) -> None:
        """Take note that a tensor is complete."""

    def read(self, name: str, start: int, stop: int, out: np.ndarray) -> None:
        """Give back a part of a tensor."""


@dataclass(frozen=True)
class How:
    """How a plan is carried out; none of it changes a value of a streamed method.

    Args:
        threads: How many; 0 takes one for each core.
        device: Where methods are played in torch; `cpu` streams those that can be.
        allow_nonfinite: Whether NaN and infinity of the models are merged as any other value.
    """

    threads: int = 0
    device: str = "cpu"
    allow_nonfinite: bool = False


def execute(
    plan: Plan, models: Sequence[Checkpoint], target: Target, how: How, work: Phase
) -> dict[Input, str]:
    """Merge every tensor of a plan that the target has not yet.

    Args:
        plan: The plan.
        models: Its models, opened.
        target: Where the tensors go.
        how: See there.
        work: Is told of each tensor.

    Returns:
        The digests of those tensors of the models that were read from beginning to end.

    Raises:
        DataError: If a file changes meanwhile, or values are NaN or infinite.
        IncompatibleModelsError: If tensors that have no mean differ, or the result has values that
            are not finite where those of the models are.
        AlnicoError: As the methods do.
    """
    with working(_n_threads(plan, how)) as workers:
        runner = _Runner(plan, models, target, how, workers)
        steps = _in_order(plan)
        with runner.reading_ahead(steps):
            for step in steps:
                with within_memory(step.name):
                    runner.run(step)
                detail(step.rule, f"{step.name} {step.form.dtype_name} {list(step.form.shape)}")
                work.advance()
        return {each: digest.text() for each, digest in runner.read.items() if digest.is_complete}


def _n_threads(plan: Plan, how: How) -> int:
    """As many as are asked for, but no more than there is room for their blocks."""
    k = max((len(step.inputs) for step in plan.steps), default=1)
    n_bytes = (k + 2) * BLOCK * np.dtype(np.float32).itemsize
    return max(1, min(how.threads or os.cpu_count() or 1, ROOM // n_bytes))


def _in_order(plan: Plan) -> list[Step]:
    """The steps; `Exact` ones as they must draw their random numbers."""
    if not any(isinstance(step.method, Exact) for step in plan.steps):
        return list(plan.steps)
    from alnico.merging.exact.order import order_key, seed_all

    seed_all(plan.seed)
    return sorted(plan.steps, key=lambda step: order_key(each.name for each in step.reads))


class _Runner:
    def __init__(
        self,
        plan: Plan,
        models: Sequence[Checkpoint],
        target: Target,
        how: How,
        workers: Workers,
    ) -> None:
        self.plan, self.models, self.target = plan, models, target
        self.how, self.workers = how, workers
        self.inputs = Inputs(plan, models, allow_nonfinite=how.allow_nonfinite)
        self.read: dict[Input, TensorDigest] = {}
        self._compiled = sum(step.form.n_entries for step in plan.steps) > FEW
        self._questions = Questions()
        self._fetch: Callable[[Step], Callable[[Input], Tensor]] = lambda step: self.inputs.tensor
        self._again = any(isinstance(step.method, Exact) for step in plan.steps)

    @contextmanager
    def reading_ahead(self, steps: Sequence[Step]) -> Iterator[None]:
        """Read what another device computes with one step ahead."""
        if self.how.device == "cpu":
            yield
            return
        ahead = Ahead(steps, self.inputs.tensor, self.how.device)
        self._fetch = ahead.fetch
        try:
            yield
        finally:
            ahead.close()

    def run(self, step: Step) -> None:
        """Make one tensor, unless it is there and as it was written."""
        done = self.target.done
        if step.name in done and not self._again and done[step.name] == self._written(step):
            return
        digest = TensorDigest(step.form.n_entries)
        if step.rule == "merge":
            self._merge(step, digest)
        elif step.rule == "largest":
            arrays = [self.models[each.model].array(each.name) for each in step.inputs]
            self._put_whole(step, np.maximum.reduce(arrays).reshape(-1), digest)
        else:
            if step.rule == "equal":
                self._check_equal(step)
            self._copy(step, digest)
        # blocks of whole rows are not those of a digest
        made = digest.text() if digest.is_complete else self._written(step)
        self.target.finish(step.name, made)

    def _written(self, step: Step) -> str:
        """The digest of what lies in the output."""
        return digest_stored(step.name, step.form, self.target.read)

    def _merge(self, step: Step, digest: TensorDigest) -> None:
        if step.form.n_entries == 0:
            return
        if self.how.device == "cpu" and self._can_stream(step):
            self._stream(step, digest)
        else:
            self._whole(step, digest)

    def _can_stream(self, step: Step) -> bool:
        dtypes = {self.inputs.form(each).dtype for each in step.reads}
        return self._questions.of(step, dtypes) is not None

    def _stream(self, step: Step, digest: TensorDigest) -> None:
        row = row_length(step.form.shape)
        blocks = Blocks(step, self.models, self.workers, row=row, compiled=self._compiled)

        def put(start: int, values: np.ndarray, seen: np.ndarray) -> None:
            if seen.max() >= LARGEST:
                self.inputs.check_block(step, seen, start, values)
            self.target.put(step.name, start, values)
            digest.add(start, values)

        watched = self._watch(step.reads)
        try:
            stream(step, blocks, seed=self.plan.seed, put=put, watch=watched)
        except NotStreamableError:
            self._whole(step, digest)
            return

    def _watch(self, inputs: Sequence[Input]) -> Callable[[Input, int, np.ndarray], None]:
        """What takes in the blocks that are read of some tensors."""
        for each in inputs:
            self.read[each] = TensorDigest(self.inputs.form(each).n_entries)
        return lambda each, start, values: self.read[each].add(start, values)

    def _whole(self, step: Step, digest: TensorDigest) -> None:
        import torch

        from alnico.merging.whole import merge_whole

        found = (
            merge_whole(step, self._fetch(step), seed=self.plan.seed).detach().cpu().contiguous()
        )
        bad = ~found.isfinite()
        if bad.any():
            self.inputs.check_whole(step, bad.reshape(-1).numpy())
        flat = (
            found.contiguous().reshape(-1).view(torch.uint8).numpy().view(ARRAYS[step.form.dtype])
        )
        self._put_whole(step, flat, digest)

    def _put_whole(self, step: Step, values: np.ndarray, digest: TensorDigest) -> None:
        for start in range(0, len(values), BLOCK):
            block = values[start : start + BLOCK]
            self.target.put(step.name, start, block)
            digest.add(start, block)

    def _copy(self, step: Step, digest: TensorDigest) -> None:
        """The bytes of the first input, or its values in another dtype."""
        (source, *_) = step.inputs
        form = self.inputs.form(source)
        if form.dtype != step.form.dtype:
            copied = Step(step.name, step.form, "merge", (source,), method=methods["passthrough"])
            self._merge(copied, digest)
            return

        watch = self._watch([source])

        def one(start: int) -> None:
            values = self.inputs.read(source, start, min(start + BLOCK, form.n_entries))
            if form.has_mean and not self.how.allow_nonfinite:
                self.inputs.check_input(source, form, values)
            self.target.put(step.name, start, values)
            digest.add(start, values)
            watch(source, start, values)

        self.workers.map(one, range(0, form.n_entries, BLOCK))

    def _check_equal(self, step: Step) -> None:
        first, *others = step.inputs
        n = step.form.n_entries
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            values = self.inputs.read(first, start, stop)
            for other in others:
                if not np.array_equal(values, self.inputs.read(other, start, stop)):
                    raise IncompatibleModelsError(
                        f"integer tensors differ between the models: {step.name} of "
                        f"{self.inputs.label(first)} and {self.inputs.label(other)}",
                        help="counters and index buffers have no mean; keep that of one model: "
                        "--integers-from MODEL, or in a recipe where: "
                        f"[{{match: {step.name!r}, keep: MODEL}}]",
                    )

"""A plan carried out: tensor by tensor from the models on disk to the model being written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from alnico.checkpoint.header import ARRAYS
from alnico.errors import DataError, IncompatibleModelsError
from alnico.merging.blocks import BLOCK, Blocks, Workers, working
from alnico.merging.digests import TensorDigest, digest_tensor
from alnico.merging.memory import within_memory
from alnico.merging.steps import Exact, Form, Input, Plan, Step
from alnico.merging.stream import is_streamable, stream
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
        for step in _in_order(plan):
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
    return sorted(plan.steps, key=lambda step: order_key(_names(step)))


def _names(step: Step) -> list[str]:
    return [each.name for each in (*step.inputs, *([step.base] if step.base else []))]


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
        self.read: dict[Input, TensorDigest] = {}
        self._compiled = sum(step.form.n_entries for step in plan.steps) > FEW
        self._streamable: dict[object, bool] = {}
        self._again = any(isinstance(step.method, Exact) for step in plan.steps)

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
        self.target.finish(step.name, digest.text())

    def _written(self, step: Step) -> str:
        """The digest of what lies in the output."""

        def read(start: int, stop: int) -> np.ndarray:
            values = np.empty(stop - start, ARRAYS[step.form.dtype])
            self.target.read(step.name, start, stop, values)
            return values

        return digest_tensor(step.form, read)

    def _merge(self, step: Step, digest: TensorDigest) -> None:
        if step.form.n_entries == 0:
            return
        if self.how.device == "cpu" and self._can_stream(step):
            self._stream(step, digest)
        else:
            self._whole(step, digest)

    def _can_stream(self, step: Step) -> bool:
        if isinstance(step.method, Exact):
            return False
        dtypes = {step.form.dtype, *(self._form(each).dtype for each in self._read_by(step))}
        parameters = tuple(sorted((name, repr(value)) for name, value in step.parameters.items()))
        key = (id(step.method), parameters, len(step.inputs), step.base is None, *sorted(dtypes))
        if key not in self._streamable:
            self._streamable[key] = is_streamable(step, dict.fromkeys(dtypes))
        return self._streamable[key]

    def _stream(self, step: Step, digest: TensorDigest) -> None:
        row = row_length(step.form.shape)
        blocks = Blocks(step, self.models, self.workers, row=row, compiled=self._compiled)

        def put(start: int, values: np.ndarray, seen: np.ndarray) -> None:
            if seen.max() >= LARGEST:
                self._check_finite(step, seen, start, values)
            self.target.put(step.name, start, values)
            digest.add(start, values)

        watched = self._watch(self._read_by(step))
        try:
            stream(step, blocks, seed=self.plan.seed, put=put, watch=watched)
        except NotStreamableError:
            self._whole(step, digest)
            return
        if not digest.is_complete:  # its blocks were whole rows
            self._digest_again(step, digest)

    def _watch(self, inputs: Sequence[Input]) -> Callable[[Input, int, np.ndarray], None]:
        """What takes in the blocks that are read of some tensors."""
        for each in inputs:
            self.read[each] = TensorDigest(self._form(each).n_entries)
        return lambda each, start, values: self.read[each].add(start, values)

    def _digest_again(self, step: Step, digest: TensorDigest) -> None:
        for start in range(0, step.form.n_entries, BLOCK):
            stop = min(start + BLOCK, step.form.n_entries)
            values = np.empty(stop - start, ARRAYS[step.form.dtype])
            self.target.read(step.name, start, stop, values)
            digest.add(start, values)

    def _whole(self, step: Step, digest: TensorDigest) -> None:
        import torch

        from alnico.merging.whole import merge_whole

        found = merge_whole(step, self._tensor, seed=self.plan.seed).detach().cpu().contiguous()
        bad = ~found.isfinite()
        if bad.any():
            self._check_whole(step, bad.reshape(-1).numpy())
        flat = found.reshape(-1).view(torch.uint8).numpy().view(ARRAYS[step.form.dtype])
        self._put_whole(step, flat, digest)

    def _tensor(self, each: Input) -> Tensor:
        tensor = self.models[each.model].tensor(each.name)
        if not self.how.allow_nonfinite and not tensor.isfinite().all():
            raise self._nonfinite(each)
        return tensor.to(self.how.device)

    def _put_whole(self, step: Step, values: np.ndarray, digest: TensorDigest) -> None:
        for start in range(0, len(values), BLOCK):
            block = values[start : start + BLOCK]
            self.target.put(step.name, start, block)
            digest.add(start, block)

    def _copy(self, step: Step, digest: TensorDigest) -> None:
        """The bytes of the first input, or its values in another dtype."""
        (source, *_) = step.inputs
        form = self._form(source)
        if form.dtype != step.form.dtype:
            copied = Step(step.name, step.form, "merge", (source,), method=methods["passthrough"])
            self._merge(copied, digest)
            return

        watch = self._watch([source])

        def one(start: int) -> None:
            values = self._read(source, start, min(start + BLOCK, form.n_entries))
            if form.has_mean and not self.how.allow_nonfinite:
                self._refuse_nonfinite(source, form, values)
            self.target.put(step.name, start, values)
            digest.add(start, values)
            watch(source, start, values)

        self.workers.map(one, range(0, form.n_entries, BLOCK))

    def _check_equal(self, step: Step) -> None:
        first, *others = step.inputs
        n = step.form.n_entries
        for start in range(0, n, BLOCK):
            stop = min(start + BLOCK, n)
            values = self._read(first, start, stop)
            for other in others:
                if not np.array_equal(values, self._read(other, start, stop)):
                    raise IncompatibleModelsError(
                        f"integer tensors differ between the models: {step.name} of "
                        f"{self._label(first)} and {self._label(other)}",
                        help="counters and index buffers have no mean; keep that of one model: "
                        "--integers-from MODEL, or in a recipe where: "
                        f"[{{match: {step.name!r}, keep: MODEL}}]",
                    )

    def _read(self, each: Input, start: int, stop: int) -> np.ndarray:
        values = np.empty(stop - start, ARRAYS[self._form(each).dtype])
        self.models[each.model].read(each.name, start, stop, values)
        return values

    def _form(self, each: Input) -> Form:
        entry = self.models[each.model].tensors[each.name]
        return Form(entry.dtype, tuple(entry.shape))

    def _read_by(self, step: Step) -> list[Input]:
        return [*step.inputs, *([] if step.base is None else [step.base])]

    def _label(self, each: Input) -> str:
        return self.plan.models[each.model]

    def _check_finite(self, step: Step, seen: np.ndarray, start: int, values: np.ndarray) -> None:
        """Say whose values are not finite, or that the method made them so."""
        read_by = self._read_by(step)
        if not self.how.allow_nonfinite:
            for each, size in zip(read_by, seen, strict=False):
                if size >= LARGEST:
                    stop = start + len(values)
                    self._refuse_nonfinite(each, self._form(each), self._read(each, start, stop))
        if seen[len(read_by)] >= LARGEST:
            given = [
                _is_finite(self._read(each, start, start + len(values)), self._form(each))
                for each in read_by
            ]
            made = ~_is_finite(values, step.form)
            self._refuse_made(step, int((made & np.logical_and.reduce(given)).sum()))

    def _check_whole(self, step: Step, bad: np.ndarray) -> None:
        fine = np.ones_like(bad)
        for each in self._read_by(step):
            form = self._form(each)
            for start in range(0, form.n_entries, BLOCK):
                values = self._read(each, start, min(start + BLOCK, form.n_entries))
                fine[start : start + len(values)] &= _is_finite(values, form)
        self._refuse_made(step, int((bad & fine).sum()))

    def _refuse_nonfinite(self, each: Input, form: Form, values: np.ndarray) -> None:
        if form.has_mean and not _is_finite(values, form).all():
            raise self._nonfinite(each)

    def _nonfinite(self, each: Input) -> DataError:
        return DataError(
            f"{self._label(each)}: {each.name} has values that are NaN or infinite",
            help="the model is damaged; to merge it all the same: --allow-nonfinite",
        )

    def _refuse_made(self, step: Step, n: int) -> None:
        if n:
            called = step.method.name if step.method is not None else step.rule
            raise IncompatibleModelsError(
                f"{called} makes {n} values of {step.name} NaN or infinite in "
                f"{step.form.dtype_name}",
                help="the models' values are finite: check the weights that they are given, or "
                "take a wider --dtype",
            )


def _is_finite(values: np.ndarray, form: Form) -> np.ndarray:
    """Which entries are finite, from values as they are stored."""
    if form.dtype == "BF16":
        return np.asarray(values & np.uint16(0x7F80) != np.uint16(0x7F80))
    if form.dtype == "F16":
        return np.asarray(values.view(np.uint16) & np.uint16(0x7C00) != np.uint16(0x7C00))
    if form.dtype in ("F32", "F64"):
        return np.asarray(np.isfinite(values))
    return np.ones(len(values), bool)

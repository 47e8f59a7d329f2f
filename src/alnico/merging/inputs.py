"""The tensors of a plan's models: read, and seen to be finite, before and after a merge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alnico.checkpoint.header import ARRAYS
from alnico.errors import DataError, IncompatibleModelsError
from alnico.merging.blocks import BLOCK
from alnico.merging.steps import Form, Input, Plan, Step
from alnico.tensors.kernels.job import LARGEST

if TYPE_CHECKING:
    from torch import Tensor

    from alnico.checkpoint.opened import Checkpoint


class Inputs:
    """What the steps of a plan are made of.

    Args:
        plan: The plan.
        models: Its models, opened.
        allow_nonfinite: Whether their values may be NaN or infinite.
    """

    def __init__(self, plan: Plan, models: Sequence[Checkpoint], *, allow_nonfinite: bool) -> None:
        self.plan, self.models = plan, models
        self.allow_nonfinite = allow_nonfinite

    def tensor(self, each: Input) -> Tensor:
        """A whole tensor.

        Raises:
            DataError: If values are not finite and may not be so.
        """
        tensor = self.models[each.model].tensor(each.name)
        if not self.allow_nonfinite and not tensor.isfinite().all():
            raise self._nonfinite(each)
        return tensor

    def read(self, each: Input, start: int, stop: int) -> np.ndarray:
        """Entries [start, stop) of a tensor, as they are stored."""
        values = np.empty(stop - start, ARRAYS[self.form(each).dtype])
        self.models[each.model].read(each.name, start, stop, values)
        return values

    def form(self, each: Input) -> Form:
        """What a tensor is."""
        entry = self.models[each.model].tensors[each.name]
        return Form(entry.dtype, tuple(entry.shape))

    def label(self, each: Input) -> str:
        """What messages call the model of a tensor."""
        return self.plan.models[each.model]

    def check_block(self, step: Step, seen: np.ndarray, start: int, values: np.ndarray) -> None:
        """Say whose values are not finite, or that the method made them so."""
        read_by = step.reads
        if not self.allow_nonfinite:
            for each, size in zip(read_by, seen, strict=False):
                if size >= LARGEST:
                    stop = start + len(values)
                    self.check_input(each, self.form(each), self.read(each, start, stop))
        if seen[len(read_by)] >= LARGEST:
            given = [
                is_finite(self.read(each, start, start + len(values)), self.form(each))
                for each in read_by
            ]
            made = ~is_finite(values, step.form)
            self._refuse_made(step, int((made & np.logical_and.reduce(given)).sum()))

    def check_whole(self, step: Step, bad: np.ndarray) -> None:
        """See that where the result is not finite, the models were not so before.

        Raises:
            IncompatibleModelsError: If a method made it so.
        """
        fine = np.ones_like(bad)
        for each in step.reads:
            form = self.form(each)
            for start in range(0, form.n_entries, BLOCK):
                values = self.read(each, start, min(start + BLOCK, form.n_entries))
                fine[start : start + len(values)] &= is_finite(values, form)
        self._refuse_made(step, int((bad & fine).sum()))

    def check_input(self, each: Input, form: Form, values: np.ndarray) -> None:
        """See that some values of a tensor are finite.

        Raises:
            DataError: If they are not.
        """
        if form.has_mean and not is_finite(values, form).all():
            raise self._nonfinite(each)

    def _nonfinite(self, each: Input) -> DataError:
        return DataError(
            f"{self.label(each)}: {each.name} has values that are NaN or infinite",
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


def is_finite(values: np.ndarray, form: Form) -> np.ndarray:
    """Which entries are finite, from values as they are stored."""
    if form.dtype == "BF16":
        return np.asarray(values & np.uint16(0x7F80) != np.uint16(0x7F80))
    if form.dtype == "F16":
        return np.asarray(values.view(np.uint16) & np.uint16(0x7C00) != np.uint16(0x7C00))
    if form.dtype in ("F32", "F64"):
        return np.asarray(np.isfinite(values))
    return np.ones(len(values), bool)

"""Tensors for another device, read one step ahead into memory that it can copy from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from alnico.merging.steps import Input, Step

if TYPE_CHECKING:
    from torch import Tensor


class Ahead:
    """The tensors of a step, of which those of the next are being read meanwhile.

    Args:
        steps: In the order in which they are asked for.
        read: Gives a tensor on the CPU.
        device: Where the tensors are to be.
    """

    def __init__(self, steps: Sequence[Step], read: Callable[[Input], Tensor], device: str) -> None:
        self._read, self._device = read, device
        whole = [step for step in steps if step.rule == "merge"]
        self._next = dict(zip((step.name for step in whole), whole[1:], strict=False))
        self._pool = ThreadPoolExecutor(1, "alnico-ahead")
        self._coming: dict[Input, Future[Tensor]] = {}

    def fetch(self, step: Step) -> Callable[[Input], Tensor]:
        """What gives the tensors of a step, on the device; those of the next are then begun."""
        here = {
            each: self._coming.get(each) or self._begin(each) for each in dict.fromkeys(step.reads)
        }
        following = self._next.get(step.name)
        self._coming = (
            {}
            if following is None
            else {each: self._begin(each) for each in dict.fromkeys(following.reads)}
        )
        return lambda each: here[each].result().to(self._device, non_blocking=True)

    def close(self) -> None:
        """Let the thread go; what is still to be read is not."""
        self._pool.shutdown(cancel_futures=True)

    def _begin(self, each: Input) -> Future[Tensor]:
        return self._pool.submit(self._pinned, each)

    def _pinned(self, each: Input) -> Tensor:
        tensor = self._read(each)
        with suppress(RuntimeError):  # no device that copies from pinned memory
            return tensor.pin_memory() if self._device.startswith("cuda") else tensor
        return tensor


def _once(step: Step) -> list[Input]:
    return list(dict.fromkeys(step.reads))

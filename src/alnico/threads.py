"""How many threads torch computes with in a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_WORTH = 2**24
"""Numbers that an operation touches before a second thread pays for being woken."""


@contextmanager
def few_threads(n_numbers: int) -> Iterator[None]:
    """Compute on one thread if the operations of this block are small.

    Many small operations on several threads spend their time in waking and waiting: on a machine
    that is busy with something else, ten times that of one thread.

    Args:
        n_numbers: How many numbers a typical operation of the block touches.
    """
    import torch

    before = torch.get_num_threads()
    if n_numbers < _WORTH:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Random numbers that follow from what they are for, not from when they are drawn.

Each is a function of (seed, tensor, model, position): no order, thread or device changes it. The
bits are two rounds of a 32-bit integer mix (lowbias32, C. Wellons 2018) over the position.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from alnico.tensors.tape import NotStreamableError
from alnico.tensors.traced import Traced

if TYPE_CHECKING:
    from torch import Tensor

MASK = 0xFFFFFFFF
STEP = 2.0**-24
"""Between two neighbouring numbers."""

_purpose: ContextVar[tuple[int, str]] = ContextVar("alnico_noise_purpose", default=(0, ""))


@contextmanager
def keyed(seed: int, name: str) -> Iterator[None]:
    """Draw what follows in this block for a tensor of that name.

    Args:
        seed: Of the whole merge.
        name: The tensor's in the output.
    """
    token = _purpose.set((seed, name))
    try:
        yield
    finally:
        _purpose.reset(token)


def keys(seed: int, name: str, k: int) -> np.ndarray:
    """Two numbers of 32 bits for each model, from which its random numbers follow. -> [k, 2]"""
    texts = (f"{seed}\0{name}\0{model}".encode() for model in range(k))
    found = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return np.frombuffer(found, "<u4").reshape(k, 2).astype(np.int64)


def uniform_like(stack: Tensor) -> Tensor:
    """Numbers in [0, 1), a multiple of 2**-24 each. [k, ...] -> [k, ...], float32"""
    if isinstance(stack, Traced):
        if not cast(Traced, stack).per_model:
            raise NotStreamableError("random numbers of one stack for all models")
        tape = cast(Traced, stack).tape
        step = tape.put("uniform", slot=tape.add_ints(tape.keys), key="keys")
        return cast("Tensor", Traced(tape, step))
    import torch

    position = torch.arange(stack[0].numel(), device=stack.device)
    rows = []
    for first, second in keys(*_purpose.get(), len(stack)).tolist():
        bits = _mix((position & MASK) ^ first)
        bits = _mix((bits + (second ^ (position >> 32))) & MASK)
        rows.append((bits >> 8).float() * STEP)
    return torch.stack(rows).reshape(stack.shape)


def _mix(bits: Any) -> Any:
    bits = bits ^ (bits >> 16)
    bits = (bits * 0x7FEB352D) & MASK
    bits = bits ^ (bits >> 15)
    bits = (bits * 0x846CA68B) & MASK
    return bits ^ (bits >> 16)

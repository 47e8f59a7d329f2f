"""What a model's tensors are, in one short text: two models with the same have the same values.

XXH3 of 128 bits (Y. Collet), which keeps up with memory, is a proof against mistakes and not
against forgers; SHA-256 of whole files is for these. The digest of a tensor is that of the digests
of its blocks, in their order; the digest of a model is that of its tensors' names, dtypes, shapes
and digests, by name. How it lies in files does not matter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import xxhash

from alnico.checkpoint.header import ARRAYS
from alnico.merging.blocks import BLOCK
from alnico.merging.steps import Form, Forms

KIND = "xxh3-128"


class TensorDigest:
    """The digest of a tensor whose blocks come in any order, from any thread.

    Args:
        n: How many entries it has.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._blocks = [b""] * max(1, -(-n // BLOCK))
        self._lock = threading.Lock()

    def add(self, start: int, values: np.ndarray) -> None:
        """Take in entries from `start` on; what is not whole blocks is passed over.

        A block is whole if it begins at a multiple of `BLOCK` and ends there or with the tensor.
        """
        if start % BLOCK or (len(values) % BLOCK and start + len(values) != self._n):
            return
        for at in range(0, max(len(values), 1), BLOCK):
            found = xxhash.xxh3_128_digest(values[at : at + BLOCK].view(np.uint8).data)
            with self._lock:
                self._blocks[(start + at) // BLOCK] = found

    @property
    def is_complete(self) -> bool:
        """Whether all blocks were added."""
        return all(self._blocks)

    def text(self) -> str:
        """The digest, once all blocks were added."""
        return xxhash.xxh3_128_hexdigest(b"".join(self._blocks))


def digest_tensor(form: Form, read: Callable[[int, int], np.ndarray]) -> str:
    """The digest of a tensor that is read block by block.

    Args:
        form: Of the tensor.
        read: Gives the entries from one to before another.
    """
    found = TensorDigest(form.n_entries)
    for start in range(0, form.n_entries, BLOCK):
        found.add(start, read(start, min(start + BLOCK, form.n_entries)))
    return found.text()


def digest_stored(name: str, form: Form, read: Callable[[str, int, int, np.ndarray], None]) -> str:
    """The digest of a tensor that is read by name, as a `Checkpoint` or a `Sink` reads it.

    Args:
        name: The tensor's.
        form: Of the tensor.
        read: Fills an array with the entries from one to before another.
    """

    def entries(start: int, stop: int) -> np.ndarray:
        values = np.empty(stop - start, ARRAYS[form.dtype])
        read(name, start, stop, values)
        return values

    return digest_tensor(form, entries)


def digest_model(forms: Forms, digests: dict[str, str]) -> str:
    """The digest of a model from those of its tensors: `xxh3-128:...`."""
    lines = (
        f"{name}\0{form.dtype}\0{','.join(map(str, form.shape))}\0{digests[name]}\n"
        for name, form in sorted(forms.items())
    )
    return f"{KIND}:{xxhash.xxh3_128_hexdigest(''.join(lines).encode())}"

"""Rows as 64-bit numbers: which rows of one table another was made of, without keeping either."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from alnico.data.batches import Rows
from alnico.types import Batch

_ODD = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def fingerprints(rows: Rows) -> NDArray[np.int64]:
    """A number of each row, a function of the bits of its inputs and target alone. -> [n]

    Rows that are alike have equal numbers, whether or not a batch holds its numbers as they are
    (`raw`) beside their encodings. It is the sum, over entries that are not 0, of bits and
    place mixed by SplitMix64 (Steele et al. 2014): padding at the end of a sequence adds nothing.
    """
    found = np.zeros(len(rows), np.uint64)
    for number, tensor in enumerate([*_tensors(rows.inputs), rows.target]):
        values = tensor.numpy().reshape(len(rows), -1).astype(np.float32)
        bits = values.view(np.uint32).astype(np.uint64)
        for place, column in enumerate(bits.T):
            here = np.array([(number << 32) + place], np.uint64)
            found += np.where(column == 0, np.uint64(0), _mix(_mix(here) ^ column))
    return found.view(np.int64)


def _tensors(inputs: Batch) -> list[Tensor]:
    if isinstance(inputs, Mapping):
        return [inputs[name] for name in sorted(inputs) if name != "raw"]
    return [inputs]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + _ODD
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))

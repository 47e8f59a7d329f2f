"""The scales of a quantised weight: one number for all of it, for each row, or for each block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from alnico.checkpoint.header import ARRAYS, FLOATS, Entry
from alnico.checkpoint.small_floats import FLOATS_OF_A_BYTE, values_of
from alnico.errors import DataError
from alnico.tensors.kernels.interpreted import load

ReadRaw: TypeAlias = Callable[[str, int, int], np.ndarray]
"""From a stored tensor's name, its first entry and the one after the last to these, as stored."""

_USUAL_BLOCK = 128


@dataclass(frozen=True)
class Scale:
    """Numbers that each belong to a block of a weight's entries.

    Args:
        name: The tensor that holds them.
        dtype: Its dtype.
        shape: Its lengths, one for each axis of the weight.
        weight: The weight's lengths.
        block: How many entries a block has along each axis; the last one may have fewer.
        factor: What they are multiplied by.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    weight: tuple[int, ...]
    block: tuple[int, ...]
    factor: float = 1.0

    def parts(
        self, values: np.ndarray, start: int, read_raw: ReadRaw
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Go through a block of the weight's entries, in pieces that have whole rows or one.

        Args:
            values: The entries from `start` on, in row-major order; in one dimension.
            start: The first entry.
            read_raw: Gives stored entries.

        Yields:
            A view of some of the values, and the scales that are broadcast against it.
        """
        if not values.size:
            return
        width, stop = self.weight[-1], start + len(values)
        first, last = -(-start // width), stop // width  # the whole rows
        edges = [(start, stop)]
        if first <= last:
            edges = [(start, first * width), (first * width, last * width), (last * width, stop)]
        for begin, end in edges:
            if begin == end:
                continue
            row, column = divmod(begin, width)
            n_rows = max(1, (end - begin) // width)
            columns = slice(column, column + (end - begin) // n_rows)
            part = values[begin - start : end - start].reshape(n_rows, -1)
            yield part, self._of_rows(row, row + n_rows, columns, read_raw)

    def _of_rows(self, first: int, stop: int, columns: slice, read_raw: ReadRaw) -> np.ndarray:
        """The scales of some columns of some rows, or one for each row. [rows, columns or 1]"""
        rows = self._rows(np.arange(first, stop))
        width, block = self.shape[-1], self.block[-1]
        low, high = int(rows.min()), int(rows.max()) + 1
        raw = np.ascontiguousarray(read_raw(self.name, low * width, high * width)).reshape(-1)
        stored = _values(raw.view(ARRAYS[self.dtype]), self.dtype)
        scales: np.ndarray = stored.reshape(-1, width)[rows - low] * np.float32(self.factor)
        if width == 1:
            return scales
        begin = columns.start // block
        spread: np.ndarray = np.repeat(scales[:, begin : -(-columns.stop // block)], block, axis=1)
        return spread[:, columns.start - begin * block : columns.stop - begin * block]

    def _rows(self, rows: np.ndarray) -> np.ndarray:
        """Which row of the scales belongs to each row of the weight."""
        found, stride = np.zeros_like(rows), 1
        for axis in reversed(range(len(self.weight) - 1)):
            rows, index = np.divmod(rows, self.weight[axis])
            found += index // self.block[axis] * stride
            stride *= self.shape[axis]
        return found


def _values(stored: np.ndarray, dtype: str) -> np.ndarray:
    full = values_of(dtype)[stored] if dtype in FLOATS_OF_A_BYTE else load(stored, dtype)
    return full.astype(np.float32)


def fit_scale(name: str, entry: Entry, weight: Sequence[int], block: Sequence[int] | None) -> Scale:
    """Find which entries of a weight each scale belongs to.

    Args:
        name: The tensor that holds the scales.
        entry: What it is.
        weight: The weight's lengths.
        block: The size of a block along the last axes, as the config says; None if it does not.

    Raises:
        DataError: If they do not fit the weight, or it is not clear how.
    """
    lengths, shape = tuple(weight) or (1,), entry.shape
    if math.prod(shape) == 1:
        shape = (1,) * len(lengths)
    elif len(shape) == 1:
        shape = (*shape, *(1,) * (len(lengths) - 1))
    given = (None,) * (len(lengths) - len(block or ())) + tuple(block or ())
    if entry.dtype not in FLOATS and entry.dtype != "I8":
        raise _misfit(name, entry, weight, f"it has the dtype {entry.dtype}")
    if len(shape) != len(lengths) or len(given) != len(lengths):
        raise _misfit(name, entry, weight, "it has another number of axes")
    blocks = []
    for length, n_scales, size in zip(lengths, shape, given, strict=True):
        sizes = _sizes(length, n_scales, size)
        if len(sizes) != 1:
            several = f"{n_scales} scales for {length} can be blocks of {sorted(sizes)}"
            raise _misfit(name, entry, weight, several if sizes else "it has another length")
        blocks.append(sizes.pop())
    return Scale(name, entry.dtype, shape, lengths, tuple(blocks))


def _sizes(length: int, n_scales: int, given: int | None) -> set[int]:
    """The sizes that the blocks along an axis may have."""
    if n_scales in (1, length):
        return {length if n_scales == 1 else 1}
    if given is not None and given > 0 and -(-length // given) == n_scales:
        return {given}
    if n_scales == 0 or given is not None:
        return set()
    sizes = {length // n_scales} if length % n_scales == 0 else set[int]()
    return sizes | ({_USUAL_BLOCK} if -(-length // _USUAL_BLOCK) == n_scales else set())


def _misfit(name: str, entry: Entry, weight: Sequence[int], why: str) -> DataError:
    return DataError(
        f"{name} of shape {list(entry.shape)} does not fit its weight of {list(weight)}: {why}",
        help="config.json says the size of blocks in quantization_config.weight_block_size",
    )

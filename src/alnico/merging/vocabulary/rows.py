"""A tensor that is indexed by tokens, in another vocabulary: where each of its rows comes from.

It is made as it is read, from the tensors on disk, with no copy of it on disk or in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from alnico.checkpoint.header import ARRAYS, SIZES
from alnico.checkpoint.opened import Checkpoint
from alnico.tensors.kernels.interpreted import load, store

ZERO, MEAN, CENTRE = -1, -2, -3
"""Rows that are in no tensor: zeros; a mean over tensors; the mean of the rows before the first."""

_GAP = 1 << 13  # bytes that are read and not used, rather than to read twice
_CHUNK = 1 << 22  # bytes of the result that are made at a time


@dataclass(frozen=True)
class Table:
    """A tensor on disk, as rows.

    Args:
        checkpoint: Its model.
        name: What it is called there.
        width: How many entries a row has.
    """

    checkpoint: Checkpoint
    name: str
    width: int

    @property
    def dtype(self) -> str:
        """As it is read."""
        return self.checkpoint.tensors[self.name].dtype

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Rows in the order that is asked for; near ones are read together. [n, width]"""
        order = np.argsort(numbers, kind="stable")
        in_order = numbers[order]
        gap = max(1, _GAP // (self.width * SIZES[self.dtype]))
        cuts = np.flatnonzero(np.diff(in_order) > gap) + 1
        out = np.empty((len(numbers), self.width), ARRAYS[self.dtype])
        for places, wanted in zip(np.split(order, cuts), np.split(in_order, cuts), strict=True):
            first, stop = int(wanted[0]), int(wanted[-1]) + 1
            found = np.empty((stop - first, self.width), out.dtype)
            self.checkpoint.read(self.name, first * self.width, stop * self.width, found)
            out[places] = found[wanted - first]
        return out


@dataclass(frozen=True)
class Rows:
    """A tensor that is made of rows of others.

    Args:
        dtype: What it is.
        shape: Its lengths; in front of the axis of tokens all are 1.
        tables: What it is made of.
        where: For each row the table, or `ZERO`, `MEAN`, `CENTRE`. [n]
        number: The row there; or, for a mean, the column of `means`. [n]
        means: The row of each table that enters a mean, or -1. [tables, means]
        exact: Whether means are mergekit's: sums are rounded at every step.
    """

    dtype: str
    shape: tuple[int, ...]
    tables: Sequence[Table]
    where: np.ndarray
    number: np.ndarray
    means: np.ndarray
    exact: bool = False

    @property
    def width(self) -> int:
        """How many entries a row has."""
        return self.tables[0].width

    def read(self, start: int, stop: int, out: np.ndarray) -> None:
        """Fill bytes with entries [start, stop), counted in row-major order."""
        size = SIZES[self.dtype]
        step = max(1, _CHUNK // (self.width * size))
        for first in range(start // self.width, -(-stop // self.width), step):
            last = min(first + step, -(-stop // self.width))
            begin, end = max(start, first * self.width), min(stop, last * self.width)
            target = out[(begin - start) * size : (end - start) * size]
            if not self._copy(first, last, begin, target):
                made = self._make(first, last).reshape(-1)
                offset = first * self.width
                target[:] = made[begin - offset : end - offset].view(np.uint8)

    def _copy(self, first: int, last: int, begin: int, target: np.ndarray) -> bool:
        """Read what lies on disk just so; False if it does not."""
        slot, number = int(self.where[first]), int(self.number[first])
        if slot < 0 or self.tables[slot].dtype != self.dtype:
            return False
        expected = np.arange(number, number + last - first)
        if not (
            np.all(self.where[first:last] == slot)
            and np.array_equal(self.number[first:last], expected)
        ):
            return False
        table = self.tables[slot]
        at = begin + (number - first) * self.width
        table.checkpoint.read(table.name, at, at + target.size // SIZES[self.dtype], target)
        return True

    def _make(self, first: int, last: int) -> np.ndarray:
        """Some rows. [last - first, width]"""
        where, number = self.where[first:last], self.number[first:last]
        out = np.zeros((last - first, self.width), ARRAYS[self.dtype])
        for slot in np.unique(where):
            at = np.flatnonzero(where == slot)
            if slot >= 0:
                out[at] = self._stored(self.tables[slot], number[at])
            elif slot == MEAN:
                out[at] = self._narrow(self._mean(number[at]))
            elif slot == CENTRE:
                out[at] = self._centre
        return out

    def _stored(self, table: Table, numbers: np.ndarray) -> np.ndarray:
        found = table.rows(numbers)
        if table.dtype == self.dtype:
            return found
        return self._narrow(load(found, table.dtype))

    def _mean(self, columns: np.ndarray) -> np.ndarray:
        total = np.zeros((len(columns), self.width), self._wide)
        n = np.zeros((len(columns), 1), self._wide)
        for table, rows in zip(self.tables, self.means[:, columns], strict=False):
            at = np.flatnonzero(rows >= 0)
            if at.size:
                total[at] += load(self._stored(table, rows[at]), self.dtype)
                n[at] += 1
            if self.exact:
                total = np.array(load(self._narrow(total), self.dtype))
        found: np.ndarray = total / n
        return found

    @cached_property
    def _centre(self) -> np.ndarray:
        """The mean of all rows before the first that is this mean. [width]"""
        n = int(np.argmax(self.where == CENTRE))
        if self.exact:
            return self._exact_centre(n)
        total = np.zeros(self.width, np.float64)
        for rows in self._chunks(n):
            total += load(rows, self.dtype).sum(0, dtype=np.float64)
        return self._narrow((total / max(n, 1)).astype(self._wide))

    def _exact_centre(self, n: int) -> np.ndarray:
        import torch

        from alnico.checkpoint.reader import DTYPES

        rows = torch.from_numpy(self._make(0, n).view(np.uint8)).view(DTYPES[self.dtype])
        found: np.ndarray = rows.mean(0).view(torch.uint8).numpy().view(ARRAYS[self.dtype])
        return found

    def _chunks(self, n: int) -> Iterator[np.ndarray]:
        step = max(1, _CHUNK // (self.width * SIZES[self.dtype]))
        for first in range(0, n, step):
            yield self._make(first, min(first + step, n))

    @property
    def _wide(self) -> type[np.floating]:
        return np.float64 if self.dtype == "F64" else np.float32

    def _narrow(self, values: np.ndarray) -> np.ndarray:
        if self.dtype == "F64":
            return np.asarray(values, np.float64)
        narrow = np.ascontiguousarray(values, np.float32)
        found: np.ndarray = store(narrow, self.dtype).view(ARRAYS[self.dtype])
        return found

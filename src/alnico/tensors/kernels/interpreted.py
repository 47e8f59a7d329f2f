"""Kernels without a compiler: the steps played by numpy on pieces that fit the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alnico.tensors.kernels.job import LARGEST, LOW_BITS, N_BINS, Job, Kernel
from alnico.tensors.noise import MASK, STEP

PIECE = 1 << 14

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "&": np.logical_and,
    "|": np.logical_or,
    "not": np.logical_not,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": lambda this, condition, other: np.where(condition, this, other),
    "sign": lambda x: (x > 0).astype(np.float32) - (x < 0).astype(np.float32),
}


def interpret_job(job: Job) -> Kernel:
    """The kernel of a job, slower than a compiled one.

    Of every entry it finds the same bits; sums over entries are added up in another order.
    """
    ranks = job.ranks

    def kernel(
        n: int,
        start: int,
        row: int,
        inputs: Sequence[np.ndarray],
        base: np.ndarray,
        floats: np.ndarray,
        ints: np.ndarray,
        wanted: np.ndarray,
        out: Sequence[np.ndarray],
        seen: np.ndarray,
    ) -> None:
        if job.what == "window":
            out[2][:] = 0
            out[3][:] = 0
        size = max(row, PIECE // row * row) if ranks else PIECE
        with np.errstate(all="ignore"):
            for at in range(0, n, size):
                stop = min(at + size, n)
                given = [x[at:stop] for x in inputs], base[at:stop]
                values = _play(job, stop - at, start + at, row, given, floats, ints)
                _TAKE[job.what](job, values, at, wanted, out)
                if job.what == "apply":
                    _watch(job, given, out[0][at:stop], seen)

    return kernel


def load(stored: np.ndarray, dtype: str) -> np.ndarray:
    """Stored values as float32."""
    if dtype == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.view(np.float16).astype(np.float32) if dtype == "F16" else stored


def store(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values as they are stored, rounded to the nearest, a half to the even one."""
    if dtype == "F16":
        return values.astype(np.float16).view(np.uint16)
    if dtype != "BF16":
        return values
    bits = values.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def _play(
    job: Job,
    n: int,
    start: int,
    row: int,
    given: tuple[list[np.ndarray], np.ndarray],
    floats: np.ndarray,
    ints: np.ndarray,
) -> dict[int, list[np.ndarray]]:
    """The values of every step, one array or number for each model, or a single one."""
    values: dict[int, list[Any]] = {}
    for step in job.needed:
        here = job.steps[step]
        width, slot = job.width(step), here.slot
        if here.op in ("const", "consts"):
            values[step] = [floats[slot + j] for j in range(width)]
        elif here.op == "base":
            assert job.base is not None
            values[step] = [load(given[1], job.base)]
        elif here.op == "models":
            values[step] = [load(x, d) for x, d in zip(given[0], job.inputs, strict=True)]
        elif here.op == "pick":
            values[step] = [values[here.args[0]][here.args[1]]]
        elif here.op == "total":
            values[step] = [_total(values[here.args[0]])]
        elif here.op == "uniform":
            values[step] = [_uniform(n, start, ints[slot + 2 * j :]) for j in range(width)]
        elif here.op == "largest":
            pairs = enumerate(_numbers(values[here.args[0]]))
            values[step] = [_largest(x, start, ints[slot + 2 * j :]) for j, x in pairs]
        elif here.op == "rank":
            values[step] = [_rank(x, row) for x in _numbers(values[here.args[0]])]
        else:
            values[step] = [_operate(here.op, values, here.args, j) for j in range(width)]
    return values


def _operate(op: str, values: dict[int, list[Any]], args: tuple[int, ...], model: int) -> Any:
    found = [values[a][model if len(values[a]) > 1 else 0] for a in args]
    truths = {"&": (0, 1), "|": (0, 1), "not": (0,), "where": (1,)}.get(op, ())
    numbers = [x if i in truths else _number(x) for i, x in enumerate(found)]
    return _OPERATIONS[op](*numbers)


def _number(value: Any) -> Any:
    return value.astype(np.float32) if value.dtype == np.bool_ else value


def _numbers(values: list[Any]) -> list[Any]:
    return [_number(value) for value in values]


def _total(values: list[Any]) -> Any:
    found = np.float32(0.0)
    for value in _numbers(values):
        found = found + value
    return found


def _sizes(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(values.view(np.uint32) & 0x7FFFFFFF, np.uint32(LARGEST)))


def _largest(values: np.ndarray, start: int, cut: np.ndarray) -> np.ndarray:
    size, threshold = _sizes(values), np.uint32(cut[0])
    earlier = np.arange(start, start + len(values)) <= cut[1]
    return np.asarray((size > threshold) | ((size == threshold) & earlier))


def _uniform(n: int, start: int, key: np.ndarray) -> np.ndarray:
    position = np.arange(start, start + n, dtype=np.int64)
    bits = _mix(((position & MASK) ^ key[0]).astype(np.uint32))
    bits = _mix((bits + ((position >> 32) ^ key[1])).astype(np.uint32))
    return (bits >> 8).astype(np.float32) * np.float32(STEP)


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = bits ^ (bits >> 16)
    bits = bits * np.uint32(0x7FEB352D)
    bits = bits ^ (bits >> 15)
    bits = bits * np.uint32(0x846CA68B)
    return np.asarray(bits ^ (bits >> 16))


def _rank(values: np.ndarray, row: int) -> np.ndarray:
    order = _sizes(values).reshape(-1, row).argsort(axis=1, kind="stable")
    found = np.empty_like(order)
    np.put_along_axis(found, order, np.arange(row)[None], axis=1)
    return found.reshape(-1).astype(np.float32)


def _watch(
    job: Job, given: tuple[list[np.ndarray], np.ndarray], made: np.ndarray, seen: np.ndarray
) -> None:
    """Remember the largest magnitude of every model, the base and the result."""
    stored = list(zip(given[0], job.inputs, strict=True))
    stored += [(given[1], job.base)] if job.base is not None else []
    for j, (x, dtype) in enumerate([*stored, (made, job.output)]):
        bits = load(x, dtype).view(np.uint32) & 0x7FFFFFFF
        seen[j] = max(seen[j], bits.max(initial=0))


def _take_result(job: Job, values: dict[int, list[Any]], at: int, _: Any, out: Any) -> None:
    (result,) = _numbers(values[job.of[0]])
    out[0][at : at + len(result)] = store(result, job.output)


def _take_gram(job: Job, values: dict[int, list[Any]], at: int, _: Any, out: Any) -> None:
    rows = [x.astype(np.float64) for x in _numbers(values[job.of[0]])]
    for a, x in enumerate(rows):
        for b in range(a, len(rows)):
            out[0][a, b] += (x * rows[b]).sum()


def _take_totals(job: Job, values: dict[int, list[Any]], at: int, _: Any, out: Any) -> None:
    for m, step in enumerate(job.of):
        for j, x in enumerate(_numbers(values[step])):
            out[0][m, j] += x.sum(dtype=np.float64)


def _take_sizes(job: Job, values: dict[int, list[Any]], at: int, _: Any, out: Any) -> None:
    for j, x in enumerate(_numbers(values[job.of[0]])):
        out[0][j, at : at + len(x)] = _sizes(x)


def _take_histogram(job: Job, values: dict[int, list[Any]], at: int, _: Any, out: Any) -> None:
    for j, x in enumerate(_numbers(values[job.of[0]])):
        out[0][j] += np.bincount(_sizes(x) >> LOW_BITS, minlength=N_BINS)


def _take_refined(job: Job, values: dict[int, list[Any]], at: int, wanted: Any, out: Any) -> None:
    for j, x in enumerate(_numbers(values[job.of[0]])):
        size = _sizes(x)
        low = size[(size >> LOW_BITS) == wanted[j]] & ((1 << LOW_BITS) - 1)
        out[0][j] += np.bincount(low, minlength=1 << LOW_BITS)


def _take_count(job: Job, values: dict[int, list[Any]], at: int, wanted: Any, out: Any) -> None:
    for j, x in enumerate(_numbers(values[job.of[0]])):
        out[0][j] += (_sizes(x) == wanted[j]).sum()


def _take_window(job: Job, values: dict[int, list[Any]], at: int, wanted: Any, out: Any) -> None:
    sizes, places, found, above = out
    for j, x in enumerate(_numbers(values[job.of[0]])):
        size = _sizes(x)
        chosen = np.flatnonzero((size >= wanted[j, 0]) & (size <= wanted[j, 1]))
        begin, end = found[j], found[j] + len(chosen)
        sizes[j, begin:end] = size[chosen]
        places[j, begin:end] = chosen + at
        found[j] = end
        above[j] += np.count_nonzero(size > wanted[j, 1])


_TAKE: dict[str, Callable[..., None]] = {
    "apply": _take_result,
    "gram": _take_gram,
    "totals": _take_totals,
    "histogram": _take_histogram,
    "refine": _take_refined,
    "count": _take_count,
    "window": _take_window,
    "sizes": _take_sizes,
}

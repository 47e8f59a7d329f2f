"""How a kernel is called: with addresses, of which it makes the arrays that its loop works on."""

from __future__ import annotations

import numpy as np

from alnico.tensors.kernels.job import DTYPES, LOW_BITS, N_BINS, Job, What

N_COUNTS = (1 << 11) + 1
"""Room for the counts of a pass of `rank_row`."""

_WANTED = {"window": "(8, 2)"}
_OUT: dict[What, list[tuple[type | None, str]]] = {
    "apply": [(None, "n")],
    "gram": [(np.float64, "({k}, {k})")],
    "totals": [(np.float64, "({w}, {k})")],
    "sizes": [(np.uint32, "({w}, n)")],
    "histogram": [(np.int64, f"({{w}}, {N_BINS})")],
    "refine": [(np.int64, f"({{w}}, {1 << LOW_BITS})")],
    "count": [(np.int64, "{w}")],
    "window": [
        (np.uint32, "({w}, n)"),
        (np.int32, "({w}, n)"),
        (np.int64, "{w}"),
        (np.int64, "{w}"),
    ],
}
"""The dtype and the shape of what a job adds to; None is the output's dtype."""


def scratch_bytes(job: Job, row: int) -> int:
    """How much room a kernel needs that ranks the entries of rows."""
    n_ranks = sum(job.steps[step].op == "rank" for step in job.needed)
    return n_ranks * room(job.k, row)


def room(k: int, row: int) -> int:
    """The bytes of one step that ranks: keys twice, counts, the rows of each model; whole words.

    Kernels call it, too: numba compiles it.
    """
    return 16 * row + 4 * (N_COUNTS + 1) + 8 * ((row * k + 1) // 2)


def write_call(job: Job) -> list[str]:
    """Make arrays of addresses and call the loop."""
    kinds = [DTYPES[dtype] for dtype in job.inputs]
    kinds.append(DTYPES[job.base] if job.base else DTYPES[job.inputs[0]])
    models = [f"array(at[{j + 1}], {_like(kind)}, n)" for j, kind in enumerate(kinds)]
    at = len(models) + 1
    fixed = [(np.float32, "1"), (np.int64, "1"), (np.int64, _WANTED.get(job.what, "1"))]
    width = len(job.of) if job.what == "totals" else job.width(job.of[0])
    shapes = [
        (DTYPES[job.output] if kind is None else kind, shape.format(w=width, k=job.k))
        for kind, shape in _OUT[job.what]
    ]
    arrays = [
        f"array(at[{at + i}], {_like(kind)}, {shape})"
        for i, (kind, shape) in enumerate([*fixed, *shapes, (np.int64, "1")])
    ]
    inputs, base = ", ".join(models[:-1]), models[-1]
    out = ", ".join(arrays[3:-1])
    return [
        f"loop(n, start, row, at[0], ({inputs},), {base}, {', '.join(arrays[:3])}, "
        f"({out},), {arrays[-1]})"
    ]


def _like(kind: type) -> str:
    return f"np.{np.dtype(kind).name}(0)"

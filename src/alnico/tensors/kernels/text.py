"""The steps of a tape as the text of one loop; a constant is an argument of it, never its text."""

from __future__ import annotations

from collections.abc import Iterable

from alnico.tensors.kernels.call import N_COUNTS, write_call
from alnico.tensors.kernels.job import LOW_BITS, Job
from alnico.tensors.tape import TRUTHS

HEAD = '''\
"""Made by alnico {version}; made again when this text differs."""
import numpy as np
from numba import njit
from alnico.tensors.kernels.intrinsics import *

f0, f1, exact = np.float32(0.0), np.float32(1.0), np.float64


@njit(error_model="numpy"{fast})
def loop(n, start, row, scratch, inputs, base, floats, ints, wanted, out, seen):
{body}


@njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def kernel(n, start, row, at):
{call}
'''
_FORMS = {
    "where": "choose({1}, {0}, {2})",
    "abs": "abs({0})",
    "sqrt": "np.sqrt({0})",
    "sign": "choose({0} > f0, f1, choose({0} < f0, -f1, f0))",
    "maximum": "choose(({0} < {1}) | ({1} != {1}), {1}, {0})",
    "minimum": "choose(({0} > {1}) | ({1} != {1}), {1}, {0})",
    "not": "not {0}",
}


def write(job: Job, *, version: str) -> str:
    """The text of a module whose function `kernel` does a job.

    It is given n, start, row, and the addresses of arrays: of scratch, of the models, and of the
    others in the order of `job.Kernel`.
    """
    body = _Body(job)
    fast = ', fastmath={"reassoc"}' if job.what in ("gram", "totals") else ""
    lines = [*body.before, *_JOBS[job.what](job, body)]
    return HEAD.format(
        version=version, fast=fast, body=_indent(lines), call=_indent(write_call(job))
    )


class _Body:
    """Lines before the loop, lines at the start of a row, and lines for each entry."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.before: list[str] = [f"x{j} = inputs[{j}]" for j in range(job.k)]
        self.by_row: list[str] = []
        self.loop: list[str] = []
        for step in job.needed:
            self._add(step)

    def value(self, step: int, model: int) -> str:
        """What the value of a step is called."""
        return f"v{step}_{model}" if self.job.steps[step].per_model else f"v{step}"

    def number(self, step: int, model: int) -> str:
        """The value of a step, with 1 and 0 for true and false."""
        value = self.value(step, model)
        op = self.job.steps[step].op
        if op == "pick":
            return self.number(*self.job.steps[step].args)
        return f"choose({value}, f1, f0)" if op in TRUTHS else value

    def values(self) -> list[str]:
        """Each model's value of the step that the job is about."""
        step = self.job.of[0]
        return [self.number(step, j) for j in range(self.job.width(step))]

    def over(self, lines: Iterable[str]) -> list[str]:
        """The loop over entries, with these lines at the end of each.

        It begins at 0: a negative place would count from the end, which costs the loop its lanes.
        """
        if not self.by_row:
            return ["for i in range(n):", _indent([*self.loop, *lines])]
        rows = [*self.by_row, *in_row([*self.loop, *lines])]
        return ["for at in range(0, n, row):", _indent(rows)]

    def _add(self, step: int) -> None:
        here = self.job.steps[step]
        op, args, slot = here.op, here.args, here.slot
        if op == "const":
            self.before.append(f"v{step} = floats[{slot}]")
        elif op == "consts":
            self.before += [f"v{step}_{j} = floats[{slot + j}]" for j in range(self.job.k)]
        elif op == "base":
            self.loop.append(f"v{step} = load_{self.job.base}(base[i])")
        elif op == "models":
            pairs = enumerate(self.job.inputs)
            self.loop += [f"v{step}_{j} = load_{dtype}(x{j}[i])" for j, dtype in pairs]
        elif op == "pick":
            self.loop.append(f"v{step} = {self.value(args[0], args[1])}")
        elif op == "total":
            parts = [self.number(args[0], j) for j in range(self.job.k)]
            self.loop.append(f"v{step} = f0 + " + " + ".join(parts))
        elif op == "largest":
            self._add_largest(step)
        elif op == "uniform":
            self._add_uniform(step)
        elif op == "rank":
            self._add_rank(step)
        else:
            for j in range(self.job.width(step)):
                self.loop.append(f"{self.value(step, j)} = {self._formula(op, args, j)}")

    def _formula(self, op: str, args: tuple[int, ...], model: int) -> str:
        if op in ("&", "|", "not"):
            return _FORMS.get(op, "{0} " + op + " {1}").format(
                *(self.value(a, model) for a in args)
            )
        if op == "where":
            this, other = (self.number(args[i], model) for i in (0, 2))
            return _FORMS[op].format(this, self.value(args[1], model), other)
        return _FORMS.get(op, "{0} " + op + " {1}").format(*(self.number(a, model) for a in args))

    def _add_largest(self, step: int) -> None:
        """Above the cut, or equal to it and not later than the last draw that stays."""
        here = self.job.steps[step]
        for j in range(self.job.width(step)):
            cut, last = here.slot + 2 * j, here.slot + 2 * j + 1
            self.before += [
                f"T{step}_{j} = np.uint32(ints[{cut}])",
                f"P{step}_{j} = np.int32(min(max(ints[{last}] - start, -1), n))",
            ]
            size = f"size({self.number(here.args[0], j)})"
            self.loop += [
                f"m{step}_{j} = {size}",
                f"{self.value(step, j)} = (m{step}_{j} > T{step}_{j}) | "
                f"((m{step}_{j} == T{step}_{j}) & (np.int32(i) <= P{step}_{j}))",
            ]

    def _add_uniform(self, step: int) -> None:
        """A block of whole rows may reach from below a multiple of 2**32 to above it."""
        slot = self.job.steps[step].slot
        self.before.append("low = np.uint32(start & 0xFFFFFFFF)")
        if self.job.ranks:
            self.before.append("left = np.int32(min(0x100000000 - np.int64(low), n))")
        for j in range(self.job.k):
            first, second = f"A{step}_{j}", f"B{step}_{j}"
            key = f"ints[{slot + 2 * j + 1}]"
            self.before += [
                f"{first} = np.uint32(ints[{slot + 2 * j}])",
                f"{second} = np.uint32({key} ^ (start >> 32))",
            ]
            if self.job.ranks:
                self.before.append(f"C{step}_{j} = np.uint32({key} ^ ((start >> 32) + 1))")
                second = f"choose(np.int32(i) < left, {second}, C{step}_{j})"
            noise = f"uniform(np.uint32(low + np.uint32(i)), {first}, {second})"
            self.loop.append(f"v{step}_{j} = {noise}")

    def _add_rank(self, step: int) -> None:
        """Each row's magnitudes are written down first, then ranked, then looked up."""
        (of,) = self.job.steps[step].args
        models = range(self.job.width(step))
        earlier = sum(self.job.steps[s].op == "rank" for s in self.job.needed if s < step)
        place = f"scratch + {earlier} * room({self.job.k}, row)"
        self.before += [
            f"k{step} = array({place}, np.uint64(0), (2, row))",
            f"c{step} = array({place} + 16 * row, np.int32(0), {N_COUNTS})",
        ]
        rows = (
            f"array({place} + 16 * row + {4 * (N_COUNTS + 1)}, np.uint32(0), ({len(models)}, row))"
        )
        self.before += [f"r{step} = {rows}", *(f"r{step}_{j} = r{step}[{j}]" for j in models)]
        kept = [f"r{step}_{j}[q] = size({self.number(of, j)})" for j in models]
        self.by_row += in_row([*self.loop, *kept])
        self.by_row += [
            f"for m in range({len(models)}):",
            _indent([f"rank_row(r{step}[m], k{step}, c{step})"]),
        ]
        self.loop += [
            f"{self.value(step, j)} = np.float32(np.int32(r{step}_{j}[q]))" for j in models
        ]


def _apply(job: Job, body: _Body) -> list[str]:
    places = [(f"x{j}", job.inputs[j]) for j in range(job.k)]
    places += [("base", job.base)] if job.base else []
    watched = enumerate([*places, ("y", job.output)])
    (value,) = body.values()
    return [
        "y = out[0]",
        *body.over([f"y[i] = store_{job.output}({value})"]),
        *(f"seen[{j}] = max(seen[{j}], largest_{dtype}({x}))" for j, (x, dtype) in watched),
    ]


def _gram(job: Job, body: _Body) -> list[str]:
    values = body.values()
    pairs = [(a, b) for a in range(len(values)) for b in range(a, len(values))]
    return _summed(
        body,
        {f"{a}, {b}": f"exact({values[a]}) * exact({values[b]})" for a, b in pairs},
    )


def _totals(job: Job, body: _Body) -> list[str]:
    terms = [(m, j) for m, step in enumerate(job.of) for j in range(job.width(step))]
    return _summed(body, {f"{m}, {j}": f"exact({body.number(job.of[m], j)})" for m, j in terms})


def _summed(body: _Body, terms: dict[str, str]) -> list[str]:
    """Sums in float64 of a term each, added to a place each."""
    pairs = list(enumerate(terms.items()))
    return [
        "y = out[0]",
        *(f"g{s} = 0.0" for s, _ in pairs),
        *body.over(f"g{s} += {term}" for s, (_, term) in pairs),
        *(f"y[{place}] += g{s}" for s, (place, _) in pairs),
    ]


def _histogram(job: Job, body: _Body) -> list[str]:
    counted = [f"y[{j}, size({v}) >> {LOW_BITS}] += 1" for j, v in enumerate(body.values())]
    return ["y = out[0]", *body.over(counted)]


def _refine(job: Job, body: _Body) -> list[str]:
    lines = []
    for j, value in enumerate(body.values()):
        lines += [
            f"m = size({value})",
            f"if (m >> {LOW_BITS}) == w{j}:",
            f"    y[{j}, m & {(1 << LOW_BITS) - 1}] += 1",
        ]
    return ["y = out[0]", *_wanted(body), *body.over(lines)]


def _count(job: Job, body: _Body) -> list[str]:
    values = list(enumerate(body.values()))
    return [
        "y = out[0]",
        *_wanted(body),
        *(f"c{j} = 0" for j, _ in values),
        *body.over(f"c{j} += size({value}) == w{j}" for j, value in values),
        *(f"y[{j}] += c{j}" for j, _ in values),
    ]


def _window(job: Job, body: _Body) -> list[str]:
    """All magnitudes are written down, and then gathered to those in the window."""
    values = list(enumerate(body.values()))
    return [
        "y, places, found, above = out",
        *body.over(f"y[{j}, i] = size({value})" for j, value in values),
        *(
            f"found[{j}], above[{j}] = "
            f"gather(y[{j}], places[{j}], n, wanted[{j}, 0], wanted[{j}, 1])"
            for j, _ in values
        ),
    ]


def _sizes(job: Job, body: _Body) -> list[str]:
    written = [f"y[{j}, i] = size({value})" for j, value in enumerate(body.values())]
    return ["y = out[0]", *body.over(written)]


def in_row(lines: Iterable[str]) -> list[str]:
    """The loop over the entries of one row."""
    return ["for q in range(row):", _indent(["i = np.uintp(at + q)", *lines])]


def _wanted(body: _Body) -> list[str]:
    return [f"w{j} = np.uint32(wanted[{j}])" for j, _ in enumerate(body.values())]


def _indent(lines: Iterable[str]) -> str:
    return "\n".join("    " + line for part in lines for line in part.split("\n"))


_JOBS = {
    "apply": _apply,
    "gram": _gram,
    "totals": _totals,
    "histogram": _histogram,
    "refine": _refine,
    "count": _count,
    "window": _window,
    "sizes": _sizes,
}

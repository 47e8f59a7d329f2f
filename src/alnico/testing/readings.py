"""The contract of both readings: a method read as a loop over blocks makes what it makes in torch.

The torch function is the definition. Equal bits are asked for, NaN counting as one value, unless
something enters that torch rounds in a way of its own: a sum over a whole tensor (`gram`, `totals`)
or of numbers over models (`.sum(0)`), whose order it chooses, or a root of each entry. Then an
entry may differ by two steps of the output's dtype, as wide as they are at the largest magnitude
that went into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from alnico.checkpoint.opened import Checkpoint, open_checkpoint
from alnico.checkpoint.reader import DTYPES
from alnico.checkpoint.writer import write_tensors
from alnico.merging.answers import answer
from alnico.merging.blocks import Blocks, Workers, working
from alnico.merging.steps import Form, Input, Step
from alnico.merging.stream import is_streamable, stream, trace
from alnico.merging.whole import merge_whole
from alnico.methods import Method, methods
from alnico.methods._method import Value
from alnico.tensors import noise, sparsify
from alnico.tensors.kernels import job
from alnico.tensors.tape import Ask, NotStreamableError, Tape

SHAPES = ((), (7,), (5, 13), (4, 3, 3, 3), (70, 101))
"""A scalar, a vector, a matrix of odd lengths, a convolution's kernel, and several blocks."""

KINDS = ("plain", "draws", "strange")
"""Values of models close to their base; with few magnitudes, so that many are equal; with some that
are NaN and infinite."""

SPECIAL = [torch.nan, torch.inf, -torch.inf, torch.nan, torch.inf]
BLOCK = 3000
SEED = 5
STEPS = 2


@dataclass(frozen=True)
class Dtypes:
    """What the values of a merge are stored as.

    Args:
        models: Of each model; fewer than there are models are taken in turn.
        base: Of the base.
        output: Of the result.
    """

    models: tuple[str, ...]
    base: str
    output: str


def check_readings(
    method: str | Method,
    *,
    dtypes: Dtypes | str = "F32",
    n_models: int | None = None,
    compiled: bool = True,
    parameters: Mapping[str, Value] | None = None,
) -> bool:
    """Check that a merge method read as a kernel makes what it makes of torch's tensors.

    It is tried on tensors from a scalar to several blocks, with equal magnitudes, NaN, infinities,
    signed zeros and subnormal values; one and two threads must give the same bits.

    Args:
        method: A merge method, or its name.
        dtypes: What is stored; one name for all.
        n_models: How many models; what the method needs, or three.
        compiled: Whether the kernels are compiled by numba, or played by numpy.
        parameters: Of the method.

    Returns:
        Whether it has a second reading; one that leaves the vocabulary is run in torch alone.

    Raises:
        AssertionError: If the readings differ; the message says where.
    """
    chosen = methods[method] if isinstance(method, str) else method
    stored = Dtypes((dtypes,), dtypes, dtypes) if isinstance(dtypes, str) else dtypes
    k = n_models or chosen.models or max(3, chosen.at_least)
    found = []
    with _family(stored, k) as models, working(1) as one, working(2) as two:
        for kind in KINDS:
            for shape in SHAPES:
                step = _step(chosen, kind, Form(stored.output, shape), k, parameters or {})
                if not is_streamable(step, (*stored.models, stored.output)):
                    return False
                found.append(_check_one(step, models, (one, two), compiled=compiled))
    return any(found)


def family(kind: str, shape: tuple[int, ...], k: int) -> list[Tensor]:
    """The values of some models and, last, of the base that they came from, in float32."""
    random = torch.Generator().manual_seed(len(shape))
    if kind == "draws":
        base = torch.randint(-1, 2, shape, generator=random) * 0.25
        changes = torch.randint(-2, 3, (k, *shape), generator=random) * 2.0**-6
        return [*(base + changes) * torch.tensor(-1.0), -base]
    base = torch.randn(shape, generator=random) * 0.02
    shared, own = torch.randn((2, k, *shape), generator=random) * 0.002
    every = torch.stack([*(base + shared[0] + own), base]).reshape(k + 1, -1)
    odd = [1e-40, -0.0, 0.0, 6e-8] if every.shape[1] > len(SPECIAL) else []
    odd += SPECIAL if kind == "strange" else []
    for at, value in enumerate(odd):
        every[at % (k + 1), at % every.shape[1]] = value
    return list(every.reshape(k + 1, *shape))


@contextmanager
def _family(dtypes: Dtypes, k: int) -> Iterator[list[Checkpoint]]:
    """Models on disk and, last, their base, with a tensor of every kind and shape."""
    given = {_name(kind, shape): family(kind, shape, k) for kind in KINDS for shape in SHAPES}
    stored = [*(dtypes.models[j % len(dtypes.models)] for j in range(k)), dtypes.base]
    with TemporaryDirectory() as folder, ExitStack() as opened:
        models = []
        for j, dtype in enumerate(stored):
            path = Path(folder) / f"{j}.safetensors"
            write_tensors(path, {name: x[j].to(DTYPES[dtype]) for name, x in given.items()})
            models.append(opened.enter_context(open_checkpoint(path)))
        yield models


def _name(kind: str, shape: tuple[int, ...]) -> str:
    return f"{kind} {list(shape)}"


def _step(method: Method, kind: str, form: Form, k: int, parameters: Mapping[str, Value]) -> Step:
    name = _name(kind, form.shape)
    inputs = tuple(Input(j, name) for j in range(k))
    base = Input(k, name) if method.takes_base else None
    return Step(name, form, "merge", inputs, base, method, parameters)


def _check_one(
    step: Step, models: Sequence[Checkpoint], workers: Sequence[Workers], *, compiled: bool
) -> bool:
    """Compare the readings of one tensor; False if its form makes the method leave the words."""
    row = sparsify.row_length(step.form.shape)
    one, two = (
        Blocks(step, models, each, row=row, compiled=compiled, size=BLOCK) for each in workers
    )
    try:
        is_exact = not _rounds_freely(step, one)
        found, again = _streamed(step, one), _streamed(step, two)
    except NotStreamableError:
        return False
    given = {each: models[each.model].tensor(each.name) for each in step.reads}
    wanted = merge_whole(step, given.__getitem__, seed=SEED)
    if not torch.equal(_bits(found), _bits(again)):
        raise AssertionError(f"{_label(step)} depends on the number of threads: {step.name}")
    apart = _bits(found) != _bits(wanted) if is_exact else _are_apart(found, wanted, given)
    apart &= ~(found.isnan() & wanted.isnan())
    if apart.any():
        at = tuple(apart.nonzero()[0].tolist())
        dtypes = ", ".join(models[each.model].tensors[each.name].dtype for each in step.reads)
        raise AssertionError(
            f"{_label(step)} reads differently as a kernel: {int(apart.sum())} values of "
            f"{step.name}, from {dtypes} to {step.form.dtype}; at {list(at)} it makes "
            f"{float(found[at])!r}, in torch {float(wanted[at])!r}"
        )
    return True


def _label(step: Step) -> str:
    assert step.method is not None
    return " ".join([step.method.name, *(f"{n}={v}" for n, v in step.parameters.items())])


def _streamed(step: Step, blocks: Blocks) -> Tensor:
    """What the second reading makes of a tensor."""
    stored = np.empty(step.form.n_entries, job.DTYPES[step.form.dtype])

    def put(start: int, values: np.ndarray, _: np.ndarray) -> None:
        stored[start : start + len(values)] = values

    stream(step, blocks, seed=SEED, put=put)
    return torch.from_numpy(stored).view(DTYPES[step.form.dtype]).reshape(step.form.shape)


def _rounds_freely(step: Step, blocks: Blocks) -> bool:
    """Whether something is rounded in a way that torch chooses."""
    asked: list[Ask] = []

    def find(ask: Ask, tape: Tape) -> np.ndarray:
        asked.append(ask)
        return answer(ask, tape, blocks)

    keys = noise.keys(SEED, step.name, len(step.inputs))
    tape, _ = trace(step, blocks.n, blocks.row, keys, find)
    return any(ask.what != "cuts" for ask in asked) or any(
        made.op == "sqrt" or (made.op == "total" and not tape.is_truth(made.args[0]))
        for made in tape.steps
    )


def _are_apart(found: Tensor, wanted: Tensor, given: Mapping[Input, Tensor]) -> Tensor:
    """Which entries differ by more than some steps of their dtype."""
    numbers = torch.finfo(wanted.dtype)
    sizes = torch.stack([x.double().abs() for x in (wanted, *given.values())])
    largest = sizes.nan_to_num(0.0, 0.0).amax(0).clamp(min=numbers.smallest_normal)
    step = numbers.eps * 2.0 ** (largest.frexp().exponent - 1)
    found, wanted = found.double(), wanted.double()
    return ~((found == wanted) | ((found - wanted).abs() <= STEPS * step))


def _bits(values: Tensor) -> Tensor:
    return values.view(torch.int16 if values.dtype.itemsize == 2 else torch.int32)

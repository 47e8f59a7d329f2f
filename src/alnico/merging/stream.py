"""A method played on one tensor of every model as a loop over blocks: little memory, no torch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast

import numpy as np

from alnico.errors import AlnicoError
from alnico.merging.answers import answer
from alnico.merging.blocks import Blocks
from alnico.merging.steps import Input, Step
from alnico.methods import Method
from alnico.tensors import noise
from alnico.tensors.kernels.job import DTYPES
from alnico.tensors.small import Small
from alnico.tensors.tape import Ask, NotStreamableError, Tape
from alnico.tensors.traced import Traced

_STRANGE = (AttributeError, IndexError, NotImplementedError, TypeError, ValueError)
"""What a method may raise that meets a value without data, and not a tensor."""


def stream(
    step: Step,
    blocks: Blocks,
    *,
    seed: int,
    put: Callable[[int, np.ndarray, np.ndarray], None],
    watch: Callable[[Input, int, np.ndarray], None] | None = None,
) -> None:
    """Merge one tensor.

    Args:
        step: Of a plan, with a method that `is_streamable`.
        blocks: Its blocks.
        seed: Of random numbers.
        put: Is given a block's begin, its values in the output's dtype, and the bits of the largest
            magnitudes of the models, the base and the output.
        watch: Is given every block that is read, once.

    Raises:
        NotStreamableError: If the method leaves the vocabulary.
        AlnicoError: As the method does.
    """
    keys = noise.keys(seed, step.name, len(step.inputs))
    tape, result = trace(step, blocks.n, blocks.row, keys, lambda ask, t: answer(ask, t, blocks))

    def out(start: int, n: int) -> list[np.ndarray]:
        return [blocks.workers.buffer("out", n, DTYPES[step.form.dtype])]

    def after(start: int, found: Any, seen: np.ndarray) -> None:
        put(start, found[0], seen)

    blocks.run("apply", tape, (result,), out, after=after, watch=watch)


def is_streamable(step: Step, dtypes: Collection[str]) -> bool:
    """Whether a merge step needs no whole tensors, from its method and dtypes alone.

    Args:
        step: Of a plan.
        dtypes: Of its inputs, its base and its output.
    """
    return questions(step, dtypes) is not None


def questions(step: Step, dtypes: Collection[str]) -> frozenset[str] | None:
    """What a merge step asks of whole tensors, as far as passes over them can tell.

    Args:
        step: Of a plan.
        dtypes: Of its inputs, its base and its output.

    Returns:
        Each `Ask.what`; None if it needs the tensors themselves.
    """
    if not isinstance(step.method, Method) or not set(dtypes) <= set(DTYPES):
        return None
    k, n = len(step.inputs), 1 << 12
    asked: set[str] = set()

    def find(ask: Ask, tape: Tape) -> np.ndarray:
        asked.add(ask.what)
        return _guess(ask, tape)

    try:
        trace(step, n, 1 << 6, np.zeros((k, 2), np.int64), find)
    except NotStreamableError:
        return None
    return frozenset(asked)


class Questions:
    """What the steps of a plan ask of whole tensors; each kind of step is looked at once."""

    def __init__(self) -> None:
        self._known: dict[object, frozenset[str] | None] = {}

    def of(self, step: Step, dtypes: Collection[str]) -> frozenset[str] | None:
        """What `questions` says of a step.

        Args:
            step: Of a plan.
            dtypes: Of what it reads.
        """
        settings = tuple(sorted((name, repr(value)) for name, value in step.parameters.items()))
        kinds = tuple(sorted({*dtypes, step.form.dtype}))
        key = (id(step.method), settings, len(step.inputs), step.base is None, kinds)
        if key not in self._known:
            self._known[key] = questions(step, kinds)
        return self._known[key]


def trace(
    step: Step,
    n: int,
    row: int,
    keys: np.ndarray,
    find: Callable[[Ask, Tape], np.ndarray],
) -> tuple[Tape, int]:
    """Play a step's method until it has no more questions: its steps, and which is the result.

    Raises:
        NotStreamableError: If it leaves the vocabulary.
        AlnicoError: As the method does.
    """
    method = cast(Method, step.method)
    answers: list[np.ndarray] = []
    while True:
        tape = Tape(len(step.inputs), n, row=row, keys=keys, answers=answers)
        try:
            return tape, _play(method, step, tape)
        except Ask as ask:
            answers.append(find(ask, tape))


def _play(method: Method, step: Step, tape: Tape) -> int:
    models: Any = Traced(tape, tape.put("models"))
    base: Any = None
    if step.base is not None:
        base = Traced(tape, tape.put("base", per_model=False))
    takes_off = base is not None and method.sees != "weights"
    seen = models - base if takes_off else models
    settings: dict[str, Any] = method.check(tape.k, dict(step.parameters))
    for parameter in method.parameters:
        if parameter.per_model:
            value = np.asarray(settings[parameter.name], np.float32)
            settings[parameter.name] = Small(np.broadcast_to(value, (tape.k,)).reshape(-1, 1))
    if method.asks_base:
        settings["base"] = base
    try:
        found: Any = method.function(seen, **settings)
    except _STRANGE as error:
        if isinstance(error, AlnicoError):
            raise
        raise NotStreamableError(str(error)) from error
    if not isinstance(found, Traced) or found.per_model:
        raise NotStreamableError("the result is not one value for each entry")
    return found.apply("+", base).step if takes_off else found.step


def _guess(ask: Ask, tape: Tape) -> np.ndarray:
    """An answer that could be: models of length 1 at right angles."""
    if ask.what == "gram":
        return np.eye(tape.k)
    if ask.what == "totals":
        return np.ones((len(ask.of), tape.k))
    return np.ones((len(ask.n_kept), 2), np.int64)

"""What carrying out a plan takes: memory, bytes read and written, time; from headers alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alnico.checkpoint.header import SIZES
from alnico.merging.answers import FEW_CANDIDATES
from alnico.merging.blocks import BLOCK
from alnico.merging.execute import How
from alnico.merging.steps import Forms, Input, Plan, Step
from alnico.merging.stream import Questions

PROGRAM, PROGRAM_WITH_TORCH = 100 * 10**6, 600 * 10**6
"""Bytes of memory that are in use before the first tensor, as measured."""

RATE, RATE_WHOLE = 500 * 10**6, 50 * 10**6
"""Bytes a second that a thread goes over, block by block and in whole tensors, as measured."""

PASSES = {"gram": 1, "totals": 1, "cuts": 2}
"""How often all models are read to answer a method's question, before it is merged."""

_CANDIDATE = 12  # bytes of an entry near a cut, its size and place; one model's are joined
_VALUE = 4  # bytes of an entry that is computed with


@dataclass(frozen=True)
class Needs:
    """What a plan takes.

    Args:
        memory: Bytes at most, those of the program included.
        read: Bytes of the models that the result is made of.
        written: Bytes of the result's tensors.
        seconds: About how long.
        threads: On how many threads.
        streamed: Methods that go block by block.
        whole: Methods that take whole tensors.
    """

    memory: int
    read: int
    written: int
    seconds: float
    threads: int
    streamed: tuple[str, ...]
    whole: tuple[str, ...]


def needs_of(plan: Plan, models: Sequence[Forms], how: How) -> Needs:
    """Find what a plan takes.

    Args:
        plan: The plan.
        models: The tensors of each of its models.
        how: On how many threads, on which device.
    """
    threads = how.threads or os.cpu_count() or 1
    questions = Questions()
    memory, work = 0, 0.0
    streamed: dict[str, None] = {}
    whole: dict[str, None] = {}
    for step in plan.steps:
        given = [models[each.model][each.name] for each in dict.fromkeys(step.reads)]
        n_bytes = sum(form.n_bytes for form in given)
        if step.method is None:
            memory = max(memory, threads * BLOCK * 2 * SIZES[step.form.dtype])
            work += (n_bytes + step.form.n_bytes) / RATE / threads
            continue
        asked = questions.of(step, [form.dtype for form in given])
        if asked is None or how.device != "cpu":
            whole[step.method.name] = None
            size = max(_VALUE, SIZES[step.form.dtype])
            memory = max(memory, (len(given) + 2) * step.form.n_entries * size)
            work += (n_bytes + step.form.n_bytes) / RATE_WHOLE
        else:
            streamed[step.method.name] = None
            memory = max(memory, _streamed(step, len(given), asked, threads))
            passes = 1 + sum(PASSES[question] for question in asked)
            work += (passes * n_bytes + step.form.n_bytes) / RATE / threads
    return Needs(
        memory + (PROGRAM_WITH_TORCH if whole else PROGRAM),
        bytes_of({each for step in plan.steps for each in step.reads}, models),
        sum(step.form.n_bytes for step in plan.steps),
        work,
        threads,
        tuple(streamed),
        tuple(whole),
    )


def bytes_of(inputs: Iterable[Input], models: Sequence[Forms]) -> int:
    """How much room tensors of models take."""
    return sum(models[each.model][each.name].n_bytes for each in inputs)


def _streamed(step: Step, n_read: int, asked: Iterable[str], threads: int) -> int:
    """The blocks that each thread holds, and what is listed where a method cuts."""
    memory = threads * (n_read + 1) * BLOCK * max(_VALUE, SIZES[step.form.dtype])
    if "cuts" in asked:
        k = len(step.inputs)
        near = min(k * step.form.n_entries, FEW_CANDIDATES)
        memory += (near + near // k) * _CANDIDATE
    return memory

"""The contract of a structure; call `check_structure` on one of your own in your tests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import torch
from torch import Tensor

from alnico.structures import Learned, Parts, Structure, row_loss, structures
from alnico.types import Task

TASKS = (Task("binary", ("no", "yes")), Task("multiclass", tuple("abcd")), Task("regression"))
WIDTHS = ((5, 3, 0), (0, 0), (4,))
ROWS = 96
CLOSE = 1e-6


def check_structure(structure: str | type[Structure]) -> None:
    """Check that a structure keeps the contract of all structures.

    It is tried on two classes, on four and on a number; on several members, on one, and on members
    without features. What it learns from is not changed, and it learns the same again, to the bit,
    whatever it saw in between and whatever the global random state. It chooses members that are
    there, once each. It says [n, c] finite numbers, and of each row by itself. Without what it
    learned it is the mean of its members' logits, or if nothing in it is a parameter, some average
    of its members; what it learned does not make it worse on the same rows. Its settings go through
    JSON and make one of equal shape, which says the same once it has the learned state.

    Args:
        structure: A structure, or its name.

    Raises:
        AssertionError: If it breaks the contract; the message says how.
    """
    chosen = structures[structure] if isinstance(structure, str) else structure
    for task in TASKS:
        for widths in WIDTHS:
            for fault in _faults(chosen, task, widths):
                where = f"{task.kind}, features of widths {list(widths)}"
                raise AssertionError(f"{chosen.name} {fault} ({where})")


def example(task: Task, widths: tuple[int, ...], *, seed: int) -> tuple[Parts, Tensor]:
    """Members that are right more often than not, and the target."""
    random = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    truth = noise(ROWS, task.n_outputs)
    target = truth.argmax(1) if task.is_classification else truth[:, 0] + 0.1 * noise(ROWS)
    logits = [truth + (1 + i) * noise(ROWS, task.n_outputs) / 2 for i in range(len(widths))]
    features = [truth @ noise(task.n_outputs, width) + noise(ROWS, width) for width in widths]
    return Parts(torch.stack(logits), tuple(features)), target


def _faults(structure: type[Structure], task: Task, widths: tuple[int, ...]) -> Iterator[str]:
    parts, target = example(task, widths, seed=0)
    random = torch.get_rng_state()
    learned = structure.learn(parts, target, task)
    if not torch.equal(torch.get_rng_state(), random):
        yield "uses the global random state"
    if not _same((parts, target), example(task, widths, seed=0)):
        yield "changes what it learns from"
    chosen = learned.members
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(len(parts))):
        yield f"chooses the members {chosen} of {len(parts)}"
    with torch.no_grad():
        yield from _output_faults(learned, parts, task)
        yield from _start_faults(learned, parts, target, task)
    structure.learn(*example(task, widths, seed=1), task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        again = structure.learn(parts, target, task)
    if not torch.equal(again(parts), learned(parts)):
        yield "does not repeat itself"


def _output_faults(learned: Learned[Structure], parts: Parts, task: Task) -> Iterator[str]:
    out = learned(parts)
    if out.shape != (ROWS, task.n_outputs):
        yield f"says {list(out.shape)} of {ROWS} rows and {task.n_outputs} outputs"
    if not out.isfinite().all():
        yield "says what is not finite"
    some = torch.arange(1, ROWS, 3).flip(0)
    if not _close(learned(parts.rows(some)), out[some]):
        yield "says something else of a row when other rows are beside it"


def _start_faults(
    learned: Learned[Structure], parts: Parts, target: Tensor, task: Task
) -> Iterator[str]:
    try:
        settings = json.loads(json.dumps(learned.structure.settings, allow_nan=False))
    except (TypeError, ValueError) as error:
        yield f"has settings that JSON does not keep: {error}"
        return
    fresh = type(learned.structure)(**settings)
    chosen, out = parts.members(learned.members), learned(parts)
    start = fresh(chosen)
    if any(True for _ in fresh.parameters()):
        if not _close(start, chosen.logits.mean(0)):
            yield "does not start at the mean of its members' logits"
    elif not _is_between(start, chosen.logits, task):
        yield "is no average of its members"
    if row_loss(out, target, task).mean() > row_loss(start, target, task).mean() + CLOSE:
        yield "is worse than before it learned, on the rows that it learned from"
    try:
        fresh.load_state_dict(learned.structure.state_dict())
    except RuntimeError as error:
        yield f"has settings that make another shape: {error}"
        return
    if not torch.equal(fresh(chosen), out):
        yield "says something else when it is rebuilt"


def _is_between(out: Tensor, logits: Tensor, task: Task) -> bool:
    if task.is_classification:
        out, logits = out.softmax(-1), logits.softmax(-1)
    return bool(((out >= logits.amin(0) - CLOSE) & (out <= logits.amax(0) + CLOSE)).all())


def _same(one: tuple[Parts, Tensor], other: tuple[Parts, Tensor]) -> bool:
    pairs = zip(
        (one[0].logits, *one[0].features, one[1]),
        (other[0].logits, *other[0].features, other[1]),
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in pairs)


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=CLOSE, atol=CLOSE)

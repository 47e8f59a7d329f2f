from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from alnico.checkpoint.opened import Checkpoint
from alnico.merging.blocks import Blocks, working
from alnico.merging.steps import Form, Input, Step
from alnico.methods import methods
from alnico.tensors.tape import Tape

KEYS = np.zeros((2, 2), np.int64)


def step_of(n: int, *, with_base: bool = False) -> Step:
    inputs = (Input(0, "w"), Input(1, "w"))
    base = Input(2, "w") if with_base else None
    return Step("w", Form("F32", (n,)), "merge", inputs, base, methods["linear"])


@pytest.fixture
def models(opened: Callable[..., list[Checkpoint]]) -> list[Checkpoint]:
    return opened(*({"w": torch.arange(10.0) + 100 * i} for i in range(3)))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_results_come_in_the_order_of_the_items_whoever_ends_first(n: int) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    with working(n) as workers:
        assert workers.map(slow_first, range(7)) == [0, 1, 4, 9, 16, 25, 36]
        assert workers.map(slow_first, []) == []


def test_after_an_error_nothing_is_begun_and_nothing_still_runs() -> None:
    begun, ended = [], []

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise ValueError("the first")
        time.sleep(0.05)
        ended.append(item)

    with working(2) as workers:
        with pytest.raises(ValueError, match="the first"):
            workers.map(work, range(50))
        assert sorted(begun) == [0, *sorted(ended)] and len(begun) < 10
        assert workers.map(str, range(2)) == ["0", "1"]
    assert not [t for t in threading.enumerate() if t.name.startswith("alnico-merge")]


def test_each_thread_keeps_memory_of_its_own_for_each_purpose() -> None:
    with working(2) as workers:
        first = workers.buffer("in", 8, np.float32)
        assert first.shape == (8,) and first.dtype == np.float32
        assert np.shares_memory(first, workers.buffer("in", 4, np.uint16))
        assert not np.shares_memory(first, workers.buffer("out", 8, np.float32))
        assert not np.shares_memory(first, workers.buffer("in", 9, np.float32)), "too small"
        meet = threading.Barrier(2, timeout=5)

        def mine(_: int) -> np.ndarray:
            meet.wait()
            return workers.buffer("in", 4, np.float32)

        one, other = workers.map(mine, range(2))
        assert not np.shares_memory(one, other)


@pytest.mark.parametrize(
    ("row", "whole", "expected"),
    [
        (3, False, [(0, 4), (4, 8), (8, 10)]),
        (3, True, [(0, 3), (3, 6), (6, 9), (9, 10)]),
        (2, True, [(0, 4), (4, 8), (8, 10)]),
        (6, True, [(0, 6), (6, 10)]),
        (0, True, [(0, 4), (4, 8), (8, 10)]),
    ],
)
def test_blocks_cover_a_tensor_once(
    models: list[Checkpoint], row: int, whole: bool, expected: list[tuple[int, int]]
) -> None:
    with working(1) as workers:
        blocks = Blocks(step_of(10), models, workers, row=row, size=4)
        assert blocks.spans(whole_rows=whole) == expected
        parts = blocks.spans(whole_rows=whole, parts=4)
        assert [n for span in parts for n in range(*span)] == list(range(10))
        assert len(parts) == (-(-10 // max(row, 1)) if whole else 10)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_job_meets_every_block_and_says_what_it_saw(
    models: list[Checkpoint], n_threads: int
) -> None:
    tape = Tape(2, 10, row=10, keys=KEYS)
    seen_of: dict[int, list[float]] = {}
    watched: dict[tuple[int, int], list[float]] = {}

    def after(start: int, found: list[np.ndarray], seen: np.ndarray) -> int:
        seen_of[start] = seen.astype(np.int32).view(np.float32).tolist()
        return start

    def watch(each: Input, start: int, values: np.ndarray) -> None:
        watched[each.model, start] = values.tolist()

    difference = tape.put("-", tape.put("models"), tape.put("base", per_model=False))
    total = tape.put("total", difference, per_model=False)
    with working(n_threads) as workers:
        step = step_of(10, with_base=True)
        blocks = Blocks(step, models, workers, row=10, compiled=False, size=4)
        out = np.zeros(10, np.float32)
        starts = blocks.run(
            "apply", tape, (total,), lambda at, n: [out[at : at + n]], after=after, watch=watch
        )
    assert starts == [0, 4, 8]
    assert out.tolist() == [2 * i - 2 * (200 + i) + 100 for i in range(10)]
    for start, last in ((0, 3), (4, 7), (8, 9)):
        largest = [float(last), 100.0 + last, 200.0 + last]
        assert seen_of[start][:4] == [*largest, 300.0]
        for model in range(3):
            assert watched[model, start] == [100.0 * model + i for i in range(start, last + 1)]

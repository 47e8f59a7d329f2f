from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from alnico.checkpoint.opened import Checkpoint
from alnico.errors import RecipeError
from alnico.merging.blocks import Blocks, working
from alnico.merging.steps import Exact, Form, Input, Step
from alnico.merging.stream import is_streamable, questions, stream, trace
from alnico.methods import Method, methods
from alnico.tensors.tape import Ask, NotStreamableError, Tape

KEYS = np.zeros((2, 2), np.int64)


def step_of(method: Method | Exact, n: int = 12, dtype: str = "F32", **parameters: object) -> Step:
    takes_base = isinstance(method, Method) and method.takes_base
    base = Input(2, "w") if takes_base else None
    inputs = (Input(0, "w"), Input(1, "w"))
    return Step("w", Form(dtype, (n,)), "merge", inputs, base, method, parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "parameters", "asked"),
    [
        ("linear", {}, set()),
        ("dare_ties", {}, set()),
        ("ties", {}, {"cuts"}),
        ("ties", {"density": 1.0}, set()),
        ("ties", {"rescale": "l1"}, {"cuts", "totals"}),
        ("slerp", {}, {"gram"}),
        ("sce", {"density": 0.5}, {"cuts", "totals"}),
    ],
)
def test_what_a_method_asks_of_whole_tensors_is_known_from_dtypes(
    method: str, parameters: dict[str, object], asked: set[str]
) -> None:
    step = step_of(methods[method], **parameters)
    assert questions(step, {"F32": None, "BF16": None}) == asked


@pytest.mark.parametrize(
    ("function", "streams"),
    [
        (lambda weights: (weights[0] + weights[1]) / 2, True),
        (lambda weights: torch.where(weights[0] > 0, weights[0], weights[1]), True),
        (lambda weights: weights.median(0).values, False),
        (lambda weights: weights.sum(), False),
        (lambda weights: weights, False),
        (lambda weights: 3.0, False),
        (lambda weights: weights[0] if weights[0] > 0 else weights[1], False),
        (lambda weights: weights[0].view(3, -1).flip(0).reshape(weights.shape[1:]), False),
        (lambda weights: torch.linalg.svd(weights[0])[1], False),
    ],
)
def test_a_method_streams_if_it_keeps_to_the_vocabulary(
    made: Callable[..., Method], function: Callable[..., object], streams: bool
) -> None:
    assert is_streamable(step_of(made(function)), {"F32": None}) is streams


def test_other_dtypes_and_exact_arithmetic_need_whole_tensors() -> None:
    linear, exact = methods["linear"], Exact("linear", lambda models, base, parameters: models[0])
    assert is_streamable(step_of(linear), {"F16": None, "BF16": None, "F32": None})
    assert not is_streamable(step_of(linear), {"F32": None, "F64": None})
    assert not is_streamable(step_of(exact), {"F32": None})


def test_a_method_is_played_once_more_for_each_answer(made: Callable[..., Method]) -> None:
    played, asked = [], []

    def twice(deltas: torch.Tensor) -> torch.Tensor:
        played.append(len(asked))
        once = methods["ties"].function(deltas, weight=1.0, density=0.5)
        return methods["ties"].function(deltas, weight=1.0, density=0.25) + once

    def find(ask: Ask, tape: Tape) -> np.ndarray:
        asked.append(ask)
        return np.array([[0, tape.n - 1]] * tape.k)

    tape, result = trace(step_of(made(twice, "deltas")), 12, 12, KEYS, find)
    assert [(ask.what, ask.n_kept) for ask in asked] == [("cuts", (6, 6)), ("cuts", (3, 3))]
    assert played == [0, 1, 2] and tape.steps[result].op == "+"
    assert [step.op for step in tape.steps].count("base") == 1


def test_a_methods_own_error_is_no_departure_from_the_vocabulary() -> None:
    step = step_of(methods["della"], density=0.9, spread=0.5)
    with pytest.raises(RecipeError, match="density - spread must be above 0"):
        is_streamable(step, {"F32": None})


@pytest.mark.parametrize("size", [5, 1 << 10])
def test_blocks_are_put_with_their_begin_and_in_the_outputs_dtype(
    opened: Callable[..., list[Checkpoint]], size: int
) -> None:
    states = [{"w": torch.randn(12)} for _ in range(3)]
    models = opened(*states)
    step = step_of(methods["task_arithmetic"], 12, "BF16", weight=[0.5, 2.0])
    put: dict[int, np.ndarray] = {}
    watched: list[tuple[Input, int, int]] = []

    def keep(start: int, values: np.ndarray, seen: np.ndarray) -> None:
        put[start] = values.copy()
        assert (seen[:4] > 0).all()

    with working(1) as workers:
        blocks = Blocks(step, models, workers, row=12, compiled=False, size=size)
        stream(step, blocks, seed=0, put=keep, watch=lambda e, s, v: watched.append((e, s, len(v))))
    a, b, base = (state["w"] for state in states)
    expected = (base + 0.5 * (a - base) + 2.0 * (b - base)).bfloat16()
    found = torch.from_numpy(np.concatenate([put[at] for at in sorted(put)])).view(torch.bfloat16)
    torch.testing.assert_close(found, expected)
    assert sorted(put) == list(range(0, 12, size))
    assert sum(n for each, _, n in watched if each == Input(2, "w")) == 12


def test_a_method_that_leaves_the_vocabulary_for_this_tensor_alone_says_so(
    made: Callable[..., Method], opened: Callable[..., list[Checkpoint]]
) -> None:
    def picky(weights: torch.Tensor) -> torch.Tensor:
        return weights[0] if weights.shape[1] == 1 << 12 else weights.cumsum(0)[0]

    step, state = step_of(made(picky)), {"w": torch.ones(12)}
    assert is_streamable(step, {"F32": None})
    with working(1) as workers, pytest.raises(NotStreamableError, match="cumsum"):
        blocks = Blocks(step, opened(state, state), workers, row=12)
        stream(step, blocks, seed=0, put=lambda *_: pytest.fail("a block was put"))

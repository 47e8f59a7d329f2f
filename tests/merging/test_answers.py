from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from alnico.checkpoint.opened import Checkpoint
from alnico.merging import answers
from alnico.merging.answers import answer
from alnico.merging.blocks import Blocks, working
from alnico.merging.steps import Form, Input, Step
from alnico.methods import methods
from alnico.tensors.tape import Ask, Tape

N = 50_021


@pytest.fixture
def ask(opened: Callable[..., list[Checkpoint]]) -> Callable[..., np.ndarray]:
    """The answer to a question about the models themselves, of blocks of 3,000 entries."""

    def ask(what: str, tensors: list[Tensor], n_kept: tuple[int, ...] = (), threads: int = 2):
        models, (n,) = opened(*({"w": tensor} for tensor in tensors)), tensors[0].shape
        k = len(models)
        step = Step(
            "w",
            Form("F32", (n,)),
            "merge",
            tuple(Input(j, "w") for j in range(k)),
            method=methods["linear"],
        )
        tape = Tape(k, n, row=n, keys=np.zeros((k, 2), np.int64))
        with working(threads) as workers:
            blocks = Blocks(step, models, workers, row=n, compiled=False, size=3000)
            return answer(Ask(what, (tape.put("models"),), n_kept), tape, blocks)  # type: ignore[arg-type]

    return ask


def cut(values: Tensor, n: int) -> list[int]:
    """By the rule: the n largest magnitudes, of equals the earlier; the last of them in all."""
    sizes = values.float().abs().numpy().view(np.uint32).astype(np.int64)
    order = np.lexsort((np.arange(len(sizes)), -sizes))
    smallest = sizes[order[n - 1]]
    return [int(smallest), int(max(i for i in order[:n] if sizes[i] == smallest))]


KINDS: dict[str, Callable[[int], Tensor]] = {
    "normal": lambda n: torch.randn(n),
    "bfloat16": lambda n: torch.randn(n).bfloat16(),
    "few values": lambda n: torch.randint(-2, 3, (n,)).float(),
    "one value": lambda n: torch.full((n,), -0.25),
    "grows": lambda n: torch.arange(n) / n,  # a sample of neighbours deceives
    "an island": lambda n: torch.randn(n) * torch.where(torch.arange(n) // 3000 == 7, 1e6, 1e-6),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("few", [1 << 21, 100])
@pytest.mark.parametrize("n", [1000, N])
def test_cuts_are_where_sorting_says(
    ask: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch, kind: str, few: int, n: int
) -> None:
    """Of few entries and of many; what a bin holds is listed, or counted once again."""
    monkeypatch.setattr(answers, "FEW_CANDIDATES", few)
    tensors = [KINDS[kind](n), KINDS["normal"](n).to(KINDS[kind](1).dtype)]
    for kept in ((n // 5, n - 3), (1, n // 2)):
        found = ask("cuts", tensors, kept)
        assert found.tolist() == [cut(x, m) for x, m in zip(tensors, kept, strict=True)], kept


def test_where_the_sample_deceives_all_are_counted(
    ask: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "_around", lambda sampled, share: (0, 1))
    values = torch.randn(N)
    assert ask("cuts", [values], (N // 3,)).tolist() == [cut(values, N // 3)]


def test_nothing_and_everything_need_no_pass(ask: Callable[..., np.ndarray]) -> None:
    values = torch.randn(10)
    nothing, everything = ask("cuts", [values, values], (0, 10)).tolist()
    assert nothing == [0x7F800001, -1] and everything == [0, 9]
    one, none = ask("cuts", [values, values], (1, 0)).tolist()
    assert one == cut(values, 1) and none == [0x7F800001, -1]


def test_nan_counts_as_the_largest_magnitude(ask: Callable[..., np.ndarray]) -> None:
    values = torch.tensor([1.0, torch.nan, 3.0, -torch.inf])
    assert ask("cuts", [values], (2,)).tolist() == [[0x7F800000, 3]]
    assert ask("cuts", [values], (3,)).tolist() == [cut(torch.tensor([0.0, 0.0, 3.0]), 1)]


def test_inner_products_and_sums_are_those_of_float64(ask: Callable[..., np.ndarray]) -> None:
    tensors = [torch.randn(N) + i for i in range(3)]
    stack = torch.stack(tensors).double()
    np.testing.assert_allclose(ask("gram", tensors), stack @ stack.T, rtol=1e-12)
    np.testing.assert_allclose(ask("totals", tensors), stack.sum(1)[None], rtol=1e-10)


@pytest.mark.parametrize("what", ["gram", "totals", "cuts"])
def test_answers_do_not_depend_on_threads(ask: Callable[..., np.ndarray], what: str) -> None:
    tensors = [torch.randn(N) for _ in range(2)]
    kept = (N // 7, N // 2) if what == "cuts" else ()
    one, *others = (ask(what, tensors, kept, threads) for threads in (1, 2, 5))
    assert all(np.array_equal(one, other) for other in others)

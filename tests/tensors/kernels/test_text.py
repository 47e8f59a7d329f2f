from __future__ import annotations

import numpy as np
import pytest
import torch

from alnico.tensors import noise
from alnico.tensors.kernels.job import Job, What
from alnico.tensors.kernels.text import write
from alnico.tensors.small import Small
from alnico.tensors.sparsify import keep_random, rank_probability
from alnico.tensors.tape import Tape
from alnico.tensors.traced import Traced


def texts(weight: float, what: What = "apply", name: str = "x") -> str:
    tape = Tape(2, 10, row=1, keys=noise.keys(0, name, 2))
    models = Traced(tape, tape.put("models"))
    weights = Small(np.array([[weight], [weight + 1]], np.float32))
    votes = keep_random(models, 0.5) * weights
    of = votes.step if what != "apply" else votes.sum(0).step
    job = Job(what, (of,), tuple(tape.steps), 2, ("BF16", "F32"), None, "F16")
    return write(job, version="1.2.3")


def test_a_constant_or_a_key_is_never_its_text() -> None:
    assert texts(0.25) == texts(17.0) == texts(0.25, name="y")


def test_it_reads_like_the_formula_and_names_its_version() -> None:
    text = texts(0.25)
    compile(text, "kernel", "exec")
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == '"""Made by alnico 1.2.3; made again when this text differs."""'
    assert "v0_0 = load_BF16(x0[i])" in lines and "v0_1 = load_F32(x1[i])" in lines
    assert any(line.startswith("y[i] = store_F16(") for line in lines)


def test_sums_alone_may_change_the_order_and_are_exact() -> None:
    assert "fastmath" not in texts(1.0)
    for what in ("gram", "totals"):
        text = texts(1.0, what)
        assert 'fastmath={"reassoc"}' in text and "+= exact(" in text


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("start", [0, 2**32 - 8, 2**33 - 4])
def test_random_numbers_of_whole_rows_go_on_beyond_32_bits(
    play, start: int, compiled: bool
) -> None:
    """A block of rows may begin below a multiple of 2**32 and end above it."""
    stack = np.random.randn(2, 12).astype(np.float32)

    def formula(x: Traced) -> Traced:
        return (noise.uniform_like(x) + 0.0 * rank_probability(x, 0.5, 0.1))[1]

    found = play(formula, stack, row=4, start=start, compiled=compiled)
    first, second = noise.keys(0, "x", 2)[1].tolist()
    position = torch.arange(start, start + 12)
    bits = noise._mix((position & noise.MASK) ^ first)
    bits = noise._mix((bits + (second ^ (position >> 32))) & noise.MASK)
    assert found.tolist() == ((bits >> 8) * noise.STEP).tolist()


def counted(play, stack: np.ndarray, what: What, wanted: np.ndarray, *shapes: object) -> list:
    """What a counting job finds, compiled and played: the same."""
    found = []
    for compiled in (True, False):
        models = play.traced(len(stack), n=stack.shape[1])
        out = [np.zeros(shape, dtype) for shape, dtype in shapes]
        of = ((models * 0.5).step,)
        play.run(what, models.tape, of, stack, None, out, compiled, wanted=wanted)
        found.append(out)
    return found


def test_magnitudes_are_counted_and_listed_as_numpy_does(play) -> None:
    stack = np.random.choice([0.5, -0.5, 3.0, 1e-40, np.nan, np.inf, -0.0, 1.1], (2, 999))
    stack = stack.astype(np.float32)
    halved = np.abs(stack * np.float32(0.5)).view(np.uint32).astype(np.int64)
    size = np.minimum(halved, 0x7F800000)
    bins = size >> 15
    one = np.array([np.float32(0.25).view(np.uint32)] * 2, np.int64)
    for out in counted(play, stack, "sizes", one, ((2, 999), np.uint32)):
        assert np.array_equal(out[0], size)
    for out in counted(play, stack, "histogram", one, ((2, 0xFF01), np.int64)):
        for row, wanted in zip(out[0], bins, strict=True):
            assert np.array_equal(row, np.bincount(wanted, minlength=0xFF01))
    for out in counted(play, stack, "refine", one >> 15, ((2, 1 << 15), np.int64)):
        assert out[0][:, 0].tolist() == (size == one[0]).sum(1).tolist() == out[0].sum(1).tolist()
    for out in counted(play, stack, "count", one, ((2,), np.int64)):
        assert out[0].tolist() == (size == one[0]).sum(1).tolist()


def test_a_window_lists_what_lies_in_it_in_order_and_counts_what_is_above(play) -> None:
    stack = np.random.randn(2, 1003).astype(np.float32)
    size = np.abs(stack * np.float32(0.5)).view(np.uint32).astype(np.int64)
    ordered = np.sort(size, axis=1)
    window = np.stack([ordered[:, 700], ordered[:, 760]], 1)
    room = [((2, 1003), np.uint32), ((2, 1003), np.int32), ((2,), np.int64), ((2,), np.int64)]
    for sizes, places, n, above in counted(play, stack, "window", window, *room):
        assert n.tolist() == [61, 61] and above.tolist() == [1003 - 761] * 2
        for j in range(2):
            inside = np.flatnonzero((size[j] >= window[j, 0]) & (size[j] <= window[j, 1]))
            assert places[j, :61].tolist() == inside.tolist()
            assert sizes[j, :61].tolist() == size[j][inside].tolist()

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from scipy import stats

from alnico.tensors import noise
from alnico.tensors.kernels.interpreted import _uniform
from alnico.tensors.tape import NotStreamableError, Tape
from alnico.tensors.traced import Traced


def by_hand(seed: int, name: str, model: int, position: int) -> float:
    """The formula in Python's whole numbers."""
    key = hashlib.blake2b(f"{seed}\0{name}\0{model}".encode(), digest_size=8).digest()
    first, second = int.from_bytes(key[:4], "little"), int.from_bytes(key[4:], "little")

    def mix(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    x = mix(position % 2**32 ^ first)
    return (mix((x + (second ^ position >> 32)) % 2**32) >> 8) / 2**24


def drawn(seed: int, name: str, k: int, n: int) -> torch.Tensor:
    with noise.keyed(seed, name):
        return noise.uniform_like(torch.zeros(k, n))


def test_each_number_is_the_formula_of_seed_name_model_and_position() -> None:
    found = drawn(7, "layers.0.weight", 3, 50)
    wanted = [[by_hand(7, "layers.0.weight", j, i) for i in range(50)] for j in range(3)]
    assert found.tolist() == wanted


def test_a_tensors_axes_change_no_number() -> None:
    with noise.keyed(1, "x"):
        shaped = noise.uniform_like(torch.zeros(2, 3, 4))
        scalar = noise.uniform_like(torch.zeros(2))
    assert torch.equal(shaped.reshape(2, 12), drawn(1, "x", 2, 12))
    assert scalar.shape == (2,) and torch.equal(scalar[:, None], drawn(1, "x", 2, 1))


@pytest.mark.parametrize("start", [0, 123, 2**32 - 5, 2**32, 3 * 2**32 - 7, 2**40 + 1])
def test_positions_go_on_beyond_32_bits(start: int) -> None:
    found = _uniform(12, start, noise.keys(3, "x", 1)[0])
    assert found.tolist() == [by_hand(3, "x", 0, start + i) for i in range(12)]


def test_the_numbers_are_uniform_and_lie_below_1() -> None:
    found = drawn(0, "x", 1, 1 << 18)[0].numpy()
    assert found.min() >= 0.0 and found.max() < 1.0
    assert (found * 2**24 % 1 == 0).all()
    assert stats.kstest(found, "uniform").pvalue > 1e-3
    for bit in (1, 7, 23):
        ones = int(((found * 2**24).astype(np.int64) >> bit & 1).sum())
        assert stats.binomtest(ones, found.size).pvalue > 1e-3


def test_neighbours_models_seeds_and_names_are_independent() -> None:
    n = 1 << 16
    found = drawn(0, "x", 2, n).numpy()
    others = [drawn(1, "x", 1, n)[0].numpy(), drawn(0, "y", 1, n)[0].numpy()]
    others += [_uniform(n, 2**32, noise.keys(0, "x", 1)[0]), found[1], np.roll(found[0], 1)]
    for other in others:
        cells = np.histogram2d(found[0], other, bins=16, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(cells.ravel()).pvalue > 1e-3


def test_a_seed_and_a_name_are_told_apart_where_they_meet() -> None:
    pairs = [(1, "1x"), (11, "x"), (1, "x"), (11, "1x")]
    assert len({noise.keys(seed, name, 1).tobytes() for seed, name in pairs}) == 4


def test_outside_a_block_the_key_is_the_one_before() -> None:
    like = torch.zeros(1, 4)
    before = noise.uniform_like(like)
    with noise.keyed(9, "x"), noise.keyed(9, "y"):
        pass
    assert torch.equal(noise.uniform_like(like), before)


def test_one_stack_for_all_models_has_no_models_to_draw_for() -> None:
    tape = Tape(2, 10, row=1, keys=noise.keys(0, "x", 2))
    models = Traced(tape, tape.put("models"))
    with pytest.raises(NotStreamableError, match="random numbers"):
        noise.uniform_like(models.sum(0))
    assert noise.uniform_like(models).step == noise.uniform_like(models).step

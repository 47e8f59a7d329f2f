from __future__ import annotations

import numpy as np
import pytest
import torch

from alnico.tensors import noise
from alnico.tensors.kernels import interpreted
from alnico.tensors.kernels.interpreted import load, store
from alnico.tensors.kernels.job import LARGEST
from alnico.tensors.sparsify import rank_probability

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
CODES = np.arange(1 << 16, dtype=np.uint16)


def rounding_cases() -> np.ndarray:
    """Every value of 16 bits, what lies halfway to the next, and that by one step of float32."""
    halves = [CODES.astype(np.uint32) << 16 | low for low in (0, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]
    numbers = [half.view(np.float32) for half in halves]
    with np.errstate(all="ignore"):
        half = CODES.view(np.float16).astype(np.float32)
        following = np.nextafter(CODES.view(np.float16), np.float16(np.inf)).astype(np.float32)
        middle = half + (following - half) / 2
        numbers += [middle, *(np.nextafter(middle, np.float32(s)) for s in (-np.inf, np.inf))]
    largest = np.array([65504, 65519.996, 65520, 3.3895e38, 3.4e38], np.float32)
    return np.concatenate([*numbers, largest, -largest])


def same_codes(found: np.ndarray, wanted: torch.Tensor) -> None:
    values = torch.from_numpy(found.view(np.int16)).view(wanted.dtype)
    nan = wanted.isnan()
    assert torch.equal(values.isnan(), nan)
    assert torch.equal(values[~nan].view(torch.int16), wanted[~nan].view(torch.int16))


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_every_code_is_loaded_as_torch_does(dtype: str) -> None:
    wanted = torch.from_numpy(CODES.view(np.int16)).view(DTYPES[dtype]).float()
    torch.testing.assert_close(
        torch.from_numpy(load(CODES, dtype)), wanted, rtol=0, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_values_are_stored_as_torch_rounds_them(dtype: str) -> None:
    cases = rounding_cases()
    with np.errstate(all="ignore"):
        same_codes(store(cases, dtype), torch.from_numpy(cases).to(DTYPES[dtype]))


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_compiled_kernels_load_and_store_as_torch_does(play, dtype: str) -> None:
    stored = CODES if dtype == "BF16" else CODES.view(np.float16)
    found = play(lambda x: x.sum(0), stored[None], compiled=True)
    wanted = torch.from_numpy(CODES.view(np.int16)).view(DTYPES[dtype]).float() + 0.0
    np.testing.assert_array_equal(found, wanted.numpy())
    cases = rounding_cases()
    rounded = play(lambda x: x[0], cases[None], compiled=True, output=dtype)
    same_codes(rounded, torch.from_numpy(cases).to(DTYPES[dtype]))


@pytest.mark.parametrize("row", [1, 40, 800])
def test_pieces_are_a_whole(play, monkeypatch: pytest.MonkeyPatch, row: int) -> None:
    stack = np.random.randn(2, 1600).astype(np.float32)

    def formula(x):
        return (noise.uniform_like(x) * rank_probability(x, 0.5, 0.25)).sum(0)

    whole = play(formula, stack, row=row, start=77)
    monkeypatch.setattr(interpreted, "PIECE", 100)
    assert play(formula, stack, row=row, start=77).tolist() == whole.tolist()


@pytest.mark.parametrize("compiled", [False, True])
def test_it_sees_the_largest_magnitudes_of_models_base_and_result(play, compiled: bool) -> None:
    """float16 says no more than whether one is not finite."""
    models = [np.array([1.0, -3.0], np.float32), np.array([0x3F80, 0xC000], np.uint16)]
    models.append(np.array([65504, 0], np.float16))
    base, out = np.array([0.25, -0.5], np.float32), np.empty(2, np.float32)

    def seen() -> list[int]:
        x = play.traced(3, n=2)
        return play.run("apply", x.tape, (x.sum(0).step,), models, base, [out], compiled).tolist()

    first = seen()
    bits = [int(np.float32(x).view(np.uint32)) for x in (3.0, 2.0, 0.5, out.max())]
    assert [first[0], first[1], first[3], first[4]] == bits and first[2] < LARGEST
    for strange in (np.inf, np.nan):
        models[2][1] = strange
        assert [size >= LARGEST for size in seen()] == [False, False, True, False, True]

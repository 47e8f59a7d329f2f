"""Scales against a loop over every entry of the weight."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from alnico.checkpoint.header import Entry
from alnico.checkpoint.scales import Scale, fit_scale
from alnico.errors import DataError


def entry(*shape: int, dtype: str = "F32") -> Entry:
    return Entry(dtype, shape, 0, 0)


def spread(scale: Scale, numbers: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The scale of each entry, as `parts` hands them out."""
    out = np.full(stop - start, np.nan, np.float32)
    for part, scales in scale.parts(out, start, lambda _, a, b: numbers.reshape(-1)[a:b]):
        part[:] = scales
    return out


def looked_up(scale: Scale, numbers: np.ndarray) -> np.ndarray:
    """The same by looking up one entry after the other."""
    full = np.empty(scale.weight, np.float32)
    for place in itertools.product(*map(range, scale.weight)):
        block = tuple(i // n for i, n in zip(place, scale.block, strict=True))
        full[place] = numbers.reshape(scale.shape)[block]
    return full.reshape(-1)


CASES = [
    ((6, 7), (), None),
    ((6, 7), (1,), None),
    ((6, 7), (6,), None),
    ((6, 7), (6, 1), None),
    ((6, 7), (1, 7), None),
    ((6, 8), (6, 2), None),
    ((6, 7), (2, 3), (4, 3)),
    ((6, 7), (3, 2), (2, 4)),
    ((130, 3), (2, 1), (128, 128)),
    ((3, 4, 5), (3, 2, 2), (2, 3)),
    ((3, 4, 5), (1, 4, 1), None),
    ((3, 4, 5), (3,), None),
    ((7,), (2,), (4,)),
    ((7,), (7,), None),
    ((), (), None),
]


@pytest.mark.parametrize(("weight", "shape", "block"), CASES)
def test_every_range_of_a_weight_gets_its_scales(
    weight: tuple[int, ...], shape: tuple[int, ...], block: tuple[int, ...] | None
) -> None:
    scale = fit_scale("s", entry(*shape), weight, block)
    numbers = np.random.standard_normal((*shape, 1)).astype(np.float32).reshape(-1)
    expected, n = looked_up(scale, numbers), int(np.prod(weight))
    draw = np.random.default_rng(0)
    ranges = draw.integers(0, n + 1, (40, 2)) if n > 60 else np.argwhere(np.ones((n + 1, n + 1)))
    for start, stop in np.sort(ranges, axis=1).tolist():
        np.testing.assert_array_equal(spread(scale, numbers, start, stop), expected[start:stop])


def test_only_the_scales_that_a_range_needs_are_read() -> None:
    scale = fit_scale("s", entry(1000, 2), (1000, 256), (1, 128))
    asked = []

    def read(name: str, start: int, stop: int) -> np.ndarray:
        asked.append((name, start, stop))
        return np.ones(stop - start, np.float32)

    list(scale.parts(np.ones(300, np.float32), 5 * 256 + 250, read))
    assert {name for name, _, _ in asked} == {"s"}
    assert min(start for _, start, _ in asked) == 10 and max(stop for *_, stop in asked) == 16


def test_scales_in_half_precision_and_of_a_byte_are_decoded() -> None:
    for dtype, stored in (
        ("BF16", np.array([0x3FC0], np.uint16)),
        ("F16", np.array([1.5], np.float16)),
        ("F8_E4M3", np.array([0x3C], np.uint8)),
        ("F64", np.array([1.5])),
    ):
        scale = fit_scale("s", entry(1, dtype=dtype), (2, 2), None)
        assert spread(scale, stored, 0, 4).tolist() == [1.5] * 4


@pytest.mark.parametrize(
    ("weight", "shape", "block", "why"),
    [
        ((6, 7), (5, 1), None, "it has another length"),
        ((6, 7), (2, 2), (2, 4), "it has another length"),
        ((6, 7), (2, 2, 2), None, "it has another number of axes"),
        ((6,), (2,), (2, 3), "it has another number of axes"),
        ((192, 8), (2, 1), None, r"2 scales for 192 can be blocks of \[96, 128\]"),
        ((6, 7), (0, 1), None, "it has another length"),
    ],
)
def test_scales_that_do_not_fit_are_refused_rather_than_guessed(
    weight: tuple[int, ...], shape: tuple[int, ...], block: tuple[int, ...] | None, why: str
) -> None:
    with pytest.raises(DataError, match=rf"a\.scale of shape .* weight of .*: {why}") as caught:
        fit_scale("a.scale", entry(*shape), weight, block)
    assert "weight_block_size" in str(caught.value.help)


def test_scales_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="it has the dtype I64"):
        fit_scale("s", entry(1, dtype="I64"), (6, 7), None)

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from alnico.merging import effective_rank as room
from alnico.merging.effective_rank import effective_rank, operations


def reader(matrix: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda start, stop: matrix.reshape(-1)[start:stop]


def oracle(matrix: np.ndarray) -> float:
    """By Roy & Vetterli: the exponential of the entropy of the singular values."""
    return float(np.exp(scipy.stats.entropy(np.linalg.svd(matrix, compute_uv=False))))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (20, 20), (50, 30), (30, 50)])
@pytest.mark.parametrize("strip", [1, 100, 1 << 22])
def test_it_is_the_entropy_of_the_singular_values(
    shape: tuple[int, int], strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_STRIP", strip)
    matrix = np.random.default_rng(0).normal(size=shape)
    assert effective_rank(reader(matrix), *shape) == pytest.approx(oracle(matrix), rel=1e-6)


def test_equal_singular_values_count_fully_and_a_product_has_no_more_than_its_width() -> None:
    draw = np.random.default_rng(0)
    turned, _ = np.linalg.qr(draw.normal(size=(40, 40)))
    assert effective_rank(reader(turned), 40, 40) == pytest.approx(40)
    assert effective_rank(reader(turned[:, :7]), 40, 7) == pytest.approx(7)
    outer = np.outer(draw.normal(size=300), draw.normal(size=200))
    assert effective_rank(reader(outer), 300, 200) == pytest.approx(1, abs=1e-9)
    low = draw.normal(size=(300, 4)) @ draw.normal(size=(4, 200))
    found = effective_rank(reader(low), 300, 200)
    assert found is not None and 3 < found <= 4


def test_a_scale_changes_nothing() -> None:
    matrix = np.random.default_rng(0).normal(size=(12, 8))
    ranks = [effective_rank(reader(matrix * s), 12, 8) for s in (1.0, 1e-30, 1e30)]
    assert ranks[1:] == pytest.approx([ranks[0], ranks[0]])


def test_a_matrix_without_a_finite_sum_has_none() -> None:
    assert effective_rank(reader(np.zeros((3, 4))), 3, 4) is None
    for bad in (np.nan, np.inf):
        matrix = np.ones((3, 4))
        matrix[1, 2] = bad
        assert effective_rank(reader(matrix), 3, 4) is None
    assert effective_rank(reader(np.full((3, 4), 1e200)), 3, 4) is None


def test_no_more_than_a_strip_is_asked_for_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_STRIP", 64)
    for shape in ((100, 8), (8, 100)):
        matrix, asked = np.random.default_rng(0).normal(size=shape), []

        def read(start: int, stop: int, matrix: np.ndarray = matrix) -> np.ndarray:
            asked.append((start, stop))  # noqa: B023
            return matrix.reshape(-1)[start:stop]

        effective_rank(read, *shape)
        assert max(stop - start for start, stop in asked) <= 64
        covered = sorted(i for start, stop in asked for i in range(start, stop))
        assert covered == list(range(800))


def test_its_cost_grows_with_the_smaller_side() -> None:
    assert operations(4096, 14336) == operations(14336, 4096) == 4096**2 * 14336 + 2 * 4096**3

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from alnico.merging.sums import Agreement, Change, Sums, measure, total

N = 1000


def three(seed: int = 0, dtype: type = np.float32) -> list[np.ndarray]:
    """A model, another, and their base: some entries of each are the base's own."""
    draw = np.random.default_rng(seed)
    base = draw.normal(size=N).astype(dtype)
    moved = [np.where(draw.random(N) < 0.7, draw.normal(size=N).astype(dtype), base) for _ in "ab"]
    return [*moved, base]


def f64(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)


def test_without_a_base_the_measures_are_numpys_of_the_values() -> None:
    a, b, _ = three()
    found = measure([a, b], ["F32", "F32"])
    x, y = f64(a), f64(b)
    assert found.change.distance == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x))
    assert found.change.share == np.mean(a != b)
    assert found.change.greatest == np.abs(y - x).max()
    assert found.agreement.cosine == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    assert found.agreement.signs == np.mean(np.sign(x) == np.sign(y))
    assert found.from_base == (Change(), Change()) and found.nonfinite == (0, 0, 0)


def test_with_a_base_cosine_and_signs_are_of_the_changes() -> None:
    a, b, base = three()
    found = measure([a, b, base], ["F32"] * 3)
    da, db = f64(a) - f64(base), f64(b) - f64(base)
    assert found.change == measure([a, b], ["F32"] * 2).change
    assert found.agreement.cosine == pytest.approx(np.corrcoef(da, db)[0, 1], abs=0.05)
    assert found.agreement.cosine == pytest.approx(
        da @ db / np.sqrt((da @ da) * (db @ db)), rel=1e-12
    )
    both = (da != 0) & (db != 0)
    assert 0.4 < both.mean() < 0.6
    assert found.agreement.signs == np.mean(np.sign(da[both]) == np.sign(db[both]))
    for change, delta in zip(found.from_base, (da, db), strict=True):
        assert change.distance == pytest.approx(np.linalg.norm(delta) / np.linalg.norm(f64(base)))
        assert change.share == np.mean(delta != 0) and change.greatest == np.abs(delta).max()


@pytest.mark.parametrize("cut", [1, 7, 499, 999])
def test_parts_add_up_to_the_whole(cut: int) -> None:
    tensors = three()
    tensors[0][3] = np.nan
    whole = measure(tensors, ["F32"] * 3)
    parts = total(measure([x[s] for x in tensors], ["F32"] * 3) for s in (np.s_[:cut], np.s_[cut:]))
    for part, full in zip(_numbers(parts), _numbers(whole), strict=True):
        assert part == pytest.approx(full, rel=1e-12)
    assert total([]) == Sums() and total([whole]) == whole


def _numbers(sums: Sums) -> list[float]:
    def flat(value: object) -> list[float]:
        if isinstance(value, dict):
            return [x for each in value.values() for x in flat(each)]
        if isinstance(value, tuple):
            return [x for each in value for x in flat(each)]
        assert isinstance(value, int | float)
        return [value]

    return flat(dataclasses.asdict(sums))


def test_changed_means_bits_of_one_dtype_and_values_of_two() -> None:
    a = np.array([0.0, 1.0, np.nan, 3.0], np.float32)
    b = np.array([-0.0, 1.0, np.nan, 4.0], np.float32)
    assert measure([a, b], ["F32", "F32"]).change.n_changed == 2
    assert measure([a, f64(b)], ["F32", "F64"]).change.n_changed == 1
    bf16 = (b.view(np.uint32) >> 16).astype(np.uint16)
    assert measure([a, bf16], ["F32", "BF16"]).change.n_changed == 1


def test_values_that_are_not_finite_are_counted_and_left_out() -> None:
    a, b, base = three()
    a[:3], b[2:4], base[9] = np.nan, [np.inf, -np.inf], np.nan
    found = measure([a, b, base], ["F32"] * 3)
    kept = np.ones(N, bool)
    kept[[0, 1, 2, 3, 9]] = False
    clean = measure([a[kept], b[kept], base[kept]], ["F32"] * 3)
    assert found.nonfinite == (3, 2, 1)
    assert found.agreement == clean.agreement
    assert found.change.n_floats == N - 5 and found.change.n_entries == N
    assert found.change.square == clean.change.square
    assert all(np.isfinite(_numbers(found)))


def test_integers_have_a_share_alone() -> None:
    a, b = np.array([1, 2, 3, 2**62]), np.array([1, 2, 4, 2**62 + 1])
    change = measure([a, b], ["I64", "I64"]).change
    assert change.measures() == {"distance": None, "changed": 0.5, "largest": None, "rank": None}
    flags = np.array([True, False]), np.array([True, True])
    assert measure(flags, ["BOOL", "BOOL"]).change.share == 0.5
    mixed = total([measure([a, b], ["I64"] * 2), measure(three()[:2], ["F32"] * 2)]).change
    assert mixed.distance == measure(three()[:2], ["F32"] * 2).change.distance


def test_what_is_not_defined_is_none() -> None:
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    still = measure([zero, zero], ["F32"] * 2)
    assert still.change.distance == 0.0 and still.change.share == 0.0
    assert still.agreement.cosine is None and still.agreement.signs is None
    grown = measure([zero, one], ["F32"] * 2)
    assert grown.change.distance is None and grown.change.greatest == 1.0
    assert Change().measures() == dict.fromkeys(("distance", "changed", "largest", "rank"))
    assert Agreement().cosine is None


def test_values_whose_squares_overflow_raise_nothing() -> None:
    huge = np.full(3, 1e200)
    found = measure([huge, -huge], ["F64", "F64"])
    assert found.change.distance is None and found.change.greatest == 2e200
    assert found.agreement.signs == 0.0


def test_a_cosine_never_leaves_its_range() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        x = draw.normal(size=7).astype(np.float32)
        cosine = measure([x, 3 * x], ["F32"] * 2).agreement.cosine
        assert cosine is not None and 1 - 1e-6 < cosine <= 1.0

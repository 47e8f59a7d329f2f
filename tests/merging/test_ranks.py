from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from alnico import progress
from alnico.merging import ranks
from alnico.merging.diff import diff
from alnico.merging.difference import Row
from alnico.merging.ranks import SMALL_SIDE, _tell_time
from alnico.merging.sums import Sums
from alnico.types import StateDict

LARGE = SMALL_SIDE + 1


def oracle(change: torch.Tensor) -> float:
    return float(np.exp(entropy(np.linalg.svd(change.double().numpy(), compute_uv=False))))


@pytest.fixture
def three() -> list[StateDict]:
    """Two models that changed by matrices of rank 3 and 8, and their base."""
    base = {"wide": torch.randn(12, 40), "tall": torch.randn(40, 12), "bias": torch.randn(12)}
    moved = []
    for rank in (3, 8):
        low = torch.randn(12, rank) @ torch.randn(rank, 40)
        moved.append(
            {"wide": base["wide"] + low, "tall": base["tall"] + low.T, "bias": torch.ones(12)}
        )
    return [*moved, base]


def test_without_a_base_ranks_are_of_the_change_between_the_models(three: list[StateDict]) -> None:
    a, b, _ = three
    rows = {row.name: row.sums for row in diff(a, b).rows}
    for name in ("wide", "tall"):
        assert rows[name].change.rank == pytest.approx(oracle(b[name] - a[name]), rel=1e-4)
        assert rows[name].from_base[0].rank is None
    assert rows["bias"].change.rank is None


def test_with_a_base_ranks_are_of_the_changes_from_it(three: list[StateDict]) -> None:
    *models, base = three
    found = diff(*models, base=base)
    for row in found.rows[:2]:
        changes = [model[row.name].double() - base[row.name].double() for model in models]
        measured = [change.rank for change in row.sums.from_base]
        assert measured == pytest.approx([oracle(change) for change in changes], rel=1e-4)
        assert row.sums.change.rank is None
    first, second = (change.rank for change in found.whole.sums.from_base)
    assert first is not None and second is not None and 2 < first < 3.1 < 5 < second < 8.1
    means = [np.mean([row.sums.from_base[i].rank for row in found.rows[:2]]) for i in (0, 1)]
    assert [first, second] == pytest.approx(means)


def test_a_large_matrix_is_ranked_where_it_is_asked_for(three: list[StateDict]) -> None:
    a = {"large": torch.randn(LARGE, LARGE), "flat": torch.randn(4, 2 * LARGE)}
    b = {name: torch.randn(tensor.shape) for name, tensor in a.items()}
    found = diff(a, b)
    assert found.unranked == ("large",)
    assert [row.sums.change.rank is None for row in found.rows] == [True, False]
    full = diff(a, b, rank=True)
    assert full.unranked == ()
    assert full.rows[0].sums.change.rank == pytest.approx(oracle(b["large"] - a["large"]), rel=1e-4)


def test_what_did_not_change_is_no_matrix_or_holds_integers_has_none() -> None:
    a = {
        "same": torch.randn(5, 6),
        "ids": torch.arange(12).reshape(3, 4),
        "kernel": torch.randn(4, 3, 2, 2),
        "nan": torch.full((3, 3), torch.nan),
        "empty": torch.zeros(0, 4),
        "moved": torch.randn(5, 6),
        "large": torch.ones(LARGE, LARGE),
    }
    b = {name: tensor.clone() for name, tensor in a.items()}
    b["ids"] += 1
    b["kernel"] += 1
    b["nan"][0, 0] = 0
    b["moved"] += 1
    found = diff(a, b)
    ranks_found = {row.name: row.sums.change.rank for row in found.rows}
    assert ranks_found.pop("moved") == pytest.approx(1, abs=1e-3)
    assert set(ranks_found.values()) == {None} and found.unranked == ()


def test_a_tensor_that_the_base_lacks_has_no_rank(three: list[StateDict]) -> None:
    a, b, base = three
    del base["wide"]
    rows = {row.name: row.sums for row in diff(a, b, base=base).rows}
    assert rows["wide"].change.rank is None and rows["wide"].from_base[0].rank is None
    assert rows["tall"].from_base[0].rank is not None


def test_models_of_several_dtypes_have_ranks(three: list[StateDict]) -> None:
    a, b, _ = three
    half = {name: tensor.bfloat16() for name, tensor in b.items()}
    row = diff(a, half).rows[0]
    assert row.sums.change.rank == pytest.approx(oracle(half["wide"] - a["wide"]), rel=1e-4)


def test_long_work_is_told_beforehand() -> None:
    heard: list[str] = []
    row = Row("x", {"x": (4096, 14336)}, Sums())
    small = Row("y", {"y": (300, 300)}, Sums())
    with progress.listen(lambda event: heard.append(event.phase.text)):
        _tell_time([small], n_changes=2)
        assert heard == []
        _tell_time([row], n_changes=1)
        _tell_time([row, row], n_changes=2)
    seconds = (4096**2 * 14336 + 2 * 4096**3) / ranks._RATE
    assert heard == [
        f"of 1 large matrices takes about {seconds:.0f} s on one core",
        f"of 2 large matrices takes about {4 * seconds / 60:.0f} min on one core",
    ]

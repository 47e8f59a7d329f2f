from __future__ import annotations

import torch

from alnico.methods import _trim


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None]


def test_each_model_keeps_its_own_share_of_the_largest() -> None:
    deltas = torch.randn(3, 20)
    kept = _trim.largest(deltas, column(0.1, 0.5, 1.0), "none")
    assert (kept != 0).sum(1).tolist() == [2, 10, 20]
    for row, given in zip(kept, deltas, strict=True):
        dropped = given[row == 0].abs()
        assert torch.equal(row[row != 0], given[row != 0])
        assert not len(dropped) or dropped.max() < row[row != 0].abs().min()


def test_outliers_give_way_where_more_is_to_be_kept() -> None:
    deltas = torch.arange(1.0, 11.0)[None]
    for density, outliers, kept in ((0.5, 0.2, [4, 8]), (0.9, 0.3, [1, 9]), (1.0, 0.3, [1, 10])):
        found = _trim.between(deltas, column(density), column(outliers), "none")
        left = found[found != 0]
        assert [left.min(), left.max()] == kept and len(left) == kept[1] - kept[0] + 1


def test_one_norm_of_every_model_is_given_back() -> None:
    deltas = torch.randn(3, 7, 9)
    half = torch.full((3, 1, 1), 0.5)
    norms = deltas.abs().sum((1, 2))
    for kept in (
        _trim.largest(deltas, half, "l1"),
        _trim.between(deltas, half, half / 5, "l1"),
        _trim.at_random(deltas, half, "l1"),
        _trim.by_rank(deltas, half, half / 5, "l1"),
    ):
        assert (kept == 0).any()
        torch.testing.assert_close(kept.abs().sum((1, 2)), norms)


def test_entries_are_kept_as_they_are_without_rescaling() -> None:
    deltas, half = torch.randn(2, 50), column(0.5, 0.5)
    for kept in (
        _trim.at_random(deltas, half, "none"),
        _trim.by_rank(deltas, half, half / 5, "none"),
    ):
        assert torch.equal(kept[kept != 0], deltas[kept != 0]) and (kept == 0).any()

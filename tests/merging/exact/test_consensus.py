from __future__ import annotations

import pytest
import torch

from alnico.merging.exact.consensus import agreeing


@pytest.mark.parametrize("int8_mask", [True, False])
def test_it_is_a_vote_entry_by_entry(int8_mask: bool) -> None:
    deltas = torch.randn(3, 4, 5).round(decimals=0)
    found = agreeing(deltas, int8_mask=int8_mask)
    for i in range(4):
        for j in range(5):
            column = deltas[:, i, j].tolist()
            elected = 1 if sum(column) >= 0 else -1
            assert found[:, i, j].tolist() == [x * elected > 0 for x in column]


def test_a_draw_is_positive_and_zero_agrees_with_nothing() -> None:
    deltas = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert agreeing(deltas, int8_mask=False).tolist() == [[True, False], [False, False]]

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alnico.methods import methods

ramplus_tl = methods["ramplus_tl"]


def test_what_one_model_alone_changed_is_amplified_by_what_it_shares() -> None:
    deltas = torch.tensor([[1.0, 2.0, 0.0, 4.0, 8.0], [3.0, 0.0, 0.0, 0.0, 0.0]])
    # the first shares 1 of its changes and has 3 alone; the second shares all that it has
    found = ramplus_tl(deltas, r=0.6, alpha=0.5)
    factor = 1 + 0.6 / 3
    torch.testing.assert_close(found, torch.tensor([2.0, 2 * factor, 0.0, 4 * factor, 8 * factor]))
    torch.testing.assert_close(ramplus_tl(deltas, r=0.0), methods["ram"](deltas))


@pytest.mark.parametrize("settings", [{}, {"r": 0.5, "alpha": 5.0, "epsilon": 0.3}])
def test_it_is_mergekits(mergekit: Callable, family: Callable, settings: dict) -> None:
    base, models = family(4, 10, 20)
    models = torch.where(torch.rand(4, 10, 20) < 0.3, models, base)
    expected = mergekit(models, "ramplus_tl", base, **settings)
    torch.testing.assert_close(base + ramplus_tl(models - base, **settings), expected)


def test_a_model_that_changed_nothing_has_no_part() -> None:
    deltas = torch.randn(2, 30)
    found = ramplus_tl(torch.cat([deltas, torch.zeros(1, 30)]))
    torch.testing.assert_close(found, ramplus_tl(deltas))

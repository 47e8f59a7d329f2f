from __future__ import annotations

from collections.abc import Callable

import torch

from alnico.methods import methods

ram = methods["ram"]


def test_it_is_the_mean_over_those_that_changed() -> None:
    deltas = torch.tensor([[1.0, 1.0, 0.0, 1.0], [3.0, 0.0, 0.0, 1e-6], [0.0, 0.0, 0.0, -2.0]])
    assert ram(deltas).tolist() == [2.0, 1.0, 0.0, -0.5]
    assert ram(deltas, epsilon=1.5).tolist() == [3.0, 0.0, 0.0, -2.0]


def test_it_is_mergekits(mergekit: Callable, family: Callable) -> None:
    base, models = family(4, 10, 20)
    models = torch.where(torch.rand(4, 10, 20) < 0.4, models, base)
    torch.testing.assert_close(base + ram(models - base), mergekit(models, "ram", base))

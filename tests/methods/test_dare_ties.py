from __future__ import annotations

import pytest
import torch

from alnico.methods import methods

dare_ties = methods["dare_ties"]


@pytest.mark.parametrize("normalize", ["none", "models", "weights"])
def test_it_is_ties_of_what_dare_keeps(normalize: str) -> None:
    deltas, weight = torch.randn(3, 20, 10), torch.tensor([1.0, 0.5, -0.25])
    keep = [methods["dare_linear"](deltas, weight=one, density=0.4) for one in torch.eye(3)]
    expected = methods["ties"](
        torch.stack(keep), weight=weight, density=1.0, normalize=normalize, scale=0.7
    )
    found = dare_ties(deltas, weight=weight, density=0.4, normalize=normalize, scale=0.7)
    torch.testing.assert_close(found, expected)


def test_without_dropping_it_is_pefts_rule_without_the_mean() -> None:
    deltas = torch.tensor([[1.0, -4.0, 2.0], [-3.0, 1.0, 1.0]])
    assert dare_ties(deltas, density=1.0).tolist() == [-3.0, -4.0, 3.0]

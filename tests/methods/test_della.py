from __future__ import annotations

import pytest
import torch

from alnico.errors import RecipeError
from alnico.methods import methods
from alnico.tensors import noise

della = methods["della"]


@pytest.mark.parametrize("normalize", ["none", "models", "weights"])
def test_it_is_ties_of_what_della_linear_keeps(normalize: str) -> None:
    deltas, weight = torch.randn(3, 20, 10), torch.tensor([1.0, 0.5, -0.25])
    keep = [methods["della_linear"](deltas, weight=one, density=0.4) for one in torch.eye(3)]
    expected = methods["ties"](torch.stack(keep), weight=weight, density=1.0, normalize=normalize)
    found = della(deltas, weight=weight, density=0.4, normalize=normalize)
    torch.testing.assert_close(found, expected)


def test_larger_changes_are_kept_more_often() -> None:
    deltas = torch.arange(1.0, 11.0).expand(1, 40, 10)
    kept = torch.zeros(10)
    for seed in range(20):
        with noise.keyed(seed, "x"):
            kept += (della(deltas, density=0.5, spread=0.4) != 0).sum(0)
    expected = torch.linspace(0.1, 0.9, 10)  # by rank in a row of 10
    assert ((kept / 800 - expected).abs() < 5 * (expected * (1 - expected) / 800).sqrt()).all()


@pytest.mark.parametrize(
    ("density", "spread"), [(0.1, 0.15), (0.9, 0.15), (0.5, 0.5), (0.15, 0.15), (0.85, 0.15)]
)
def test_probabilities_beyond_nothing_and_everything_are_refused(
    density: float, spread: float
) -> None:
    message = (
        f"density - spread must be above 0 .* got density {density}, 0.5 and spread {spread}, "
    )
    with pytest.raises(RecipeError, match=message) as error:
        della(torch.randn(2, 3), density=[density, 0.5], spread=spread)
    assert "a density of 1 keeps everything" in str(error.value)


@pytest.mark.parametrize("rescale", ["none", "inverse", "l1"])
def test_a_density_of_one_keeps_everything_and_of_zero_nothing(rescale: str) -> None:
    deltas = torch.randn(2, 6, 5)
    found = della(deltas, density=[1.0, 0.0], rescale=rescale)
    torch.testing.assert_close(found, deltas[0])

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alnico.errors import DataError
from alnico.pruning.measure import measure


def test_mean_and_variance_are_those_of_the_layers_inputs(
    perceptron: nn.Sequential, digits: tuple[Tensor, Tensor]
) -> None:
    x = torch.cat([digits[0], digits[0].flip(1)])  # more rows than go through at once
    found = measure(perceptron, ["3", "5"], x)
    with torch.no_grad():
        first, second = perceptron[:3](x).double(), perceptron[:5](x).double()
    for name, columns in (("3", first), ("5", second)):
        torch.testing.assert_close(found[name].mean, columns.mean(0))
        torch.testing.assert_close(found[name].variance, columns.var(0, correction=0))


def test_places_of_an_image_and_times_of_a_sequence_count_like_rows() -> None:
    images = torch.randn(7, 3, 4, 5) * 2 + 1
    conv = nn.Sequential(nn.Identity(), nn.Conv2d(3, 2, 2), nn.Flatten())
    by_channel = images.double().transpose(0, 1).flatten(1)
    found = measure(conv, ["1"], images)["1"]
    torch.testing.assert_close(found.mean, by_channel.mean(1))
    torch.testing.assert_close(found.variance, by_channel.var(1, correction=0))
    words = torch.randn(7, 5, 3)
    found = measure(nn.Sequential(nn.Linear(3, 2), nn.Flatten()), ["0"], words)["0"]
    torch.testing.assert_close(found.mean, words.double().flatten(0, 1).mean(0))


def test_a_large_mean_does_not_spoil_a_small_variance() -> None:
    x = (1_000 + torch.randn(500, 1) * 1e-2).float()
    found = measure(nn.Sequential(nn.Linear(1, 2)), ["0"], x)["0"]
    torch.testing.assert_close(
        found.variance, x.double().var(0, correction=0), rtol=1e-4, atol=1e-12
    )


def test_a_constant_column_has_no_variance() -> None:
    x = torch.full((50, 2), 0.1)
    assert (measure(nn.Linear(2, 1), [""], x)[""].variance < 1e-15).all()


def test_rows_that_make_nan_are_refused() -> None:
    x = torch.randn(5, 2)
    x[3, 1] = float("nan")
    with pytest.raises(DataError, match="Linear says of the example is not finite"):
        measure(nn.Linear(2, 1), [""], x)

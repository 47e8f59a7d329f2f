from __future__ import annotations

import numpy as np
import pytest
import torch

from alnico.networks._table_input import TableInput
from alnico.types import Inputs


def piecewise_linear(x: float, edges: np.ndarray) -> list[float]:
    """Gorishniy, Rubachev, Babenko 2022, equation 1, as it is printed."""
    n_pieces, out = len(edges) - 1, []
    for t in range(1, n_pieces + 1):
        if x < edges[t - 1] and t > 1:
            out.append(0.0)
        elif x >= edges[t] and t < n_pieces:
            out.append(1.0)
        else:
            out.append((x - edges[t - 1]) / (edges[t] - edges[t - 1]))
    return out


def test_quantiles_get_a_piecewise_linear_embedding() -> None:
    quantile = torch.cat([torch.rand(50, 2), torch.tensor([[0, 1], [0.5, 0.25], [1 / 16, 0.99]])])
    layer = TableInput(Inputs(numbers=2), "quantile")
    edges = np.linspace(0, 1, 17)
    expected = [[u for x in row for u in piecewise_linear(x, edges)] for row in quantile.tolist()]
    assert layer.width == 2 * 16
    np.testing.assert_allclose(layer({"quantile": quantile}), expected, atol=1e-5)


def test_logs_are_read_as_they_are() -> None:
    log = torch.randn(6, 3)
    layer = TableInput(Inputs(numbers=3), "log")
    assert layer.width == 3
    assert torch.equal(layer({"log": log, "quantile": torch.rand(6, 3)}), log)


def test_numbers_indicators_and_categories_stand_side_by_side() -> None:
    inputs = Inputs(numbers=2, missing=1, categories=(3, 4))
    layer = TableInput(inputs, "log", category_width=5)
    log, missing = torch.randn(6, 2), torch.ones(6, 1)
    ids = torch.tensor([[0, 0], [2, 3], [1, 0], [0, 2], [2, 2], [1, 1]], dtype=torch.int32)
    out = layer({"log": log, "missing": missing, "categories": ids})
    assert out.shape == (6, layer.width) == (6, 2 + 1 + 2 * 5)
    assert torch.equal(out[:, :3], torch.cat([log, missing], 1))
    assert layer.embedding is not None
    first, second = layer.embedding.weight.split((3, 4))  # a table of its own for each column
    for row, (a, b) in zip(out, ids.tolist(), strict=True):
        assert torch.equal(row[3:], torch.cat([first[a], second[b]]))


def test_a_very_wide_table_gets_fewer_pieces() -> None:
    widths = {n: TableInput(Inputs(numbers=n), "quantile").width for n in (256, 1_000, 10_000)}
    assert widths == {256: 16 * 256, 1_000: 4 * 1_000, 10_000: 10_000}
    quantile = torch.rand(3, 10_000)
    layer = TableInput(Inputs(numbers=10_000), "quantile")
    assert torch.equal(layer({"quantile": quantile}), quantile)


@pytest.mark.parametrize("encoding", ["quantile", "log"])
def test_what_follows_from_the_inputs_is_not_kept_as_weights(encoding) -> None:
    layer = TableInput(Inputs(numbers=2, categories=(3,)), encoding)
    assert list(layer.state_dict()) == ["embedding.weight"]

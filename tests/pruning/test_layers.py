from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from alnico.pruning.layers import keep_columns_, keep_units_, n_units, weight_by_column

KEPT = torch.tensor([0, 3])


@pytest.mark.parametrize(
    ("layer", "x", "axis"),
    [
        (nn.Linear(3, 5), torch.randn(4, 3), -1),
        (nn.Linear(3, 5, bias=False), torch.randn(4, 7, 3), -1),
        (nn.Conv1d(3, 5, 2), torch.randn(4, 3, 6), 1),
        (nn.Conv2d(3, 5, 2, padding=1, bias=False), torch.randn(4, 3, 6, 6), 1),
        (nn.Embedding(9, 5, padding_idx=0), torch.randint(9, (4, 6)), -1),
        (nn.EmbeddingBag(9, 5), torch.randint(9, (4, 6)), -1),
        (nn.BatchNorm1d(5).eval(), torch.randn(4, 5), -1),
        (nn.BatchNorm2d(5, affine=False).eval(), torch.randn(4, 5, 2, 2), 1),
    ],
)
def test_a_layer_gives_the_units_that_it_kept(layer: nn.Module, x: torch.Tensor, axis: int) -> None:
    before = layer(x).index_select(axis, KEPT)
    own = x if not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) else x[:, KEPT]
    keep_units_(layer, KEPT)  # type: ignore[arg-type]
    torch.testing.assert_close(layer(own), before, rtol=0, atol=1e-6)
    assert "5" not in repr(layer).replace("1e-05", "")


@pytest.mark.parametrize("bias", [True, False])
def test_what_the_removed_columns_gave_goes_into_the_bias(bias: bool) -> None:
    layer, x = nn.Linear(5, 3, bias=bias), torch.randn(9, 5)
    x[:, [1, 2, 4]] = torch.tensor([2.0, -1.0, 0.5])
    before = layer(x)
    offset = layer.weight.detach()[:, [1, 2, 4]] @ torch.tensor([2.0, -1.0, 0.5])
    keep_columns_(layer, KEPT, offset.double())
    assert layer.in_features == 2 and layer.bias.requires_grad
    torch.testing.assert_close(layer(x[:, KEPT]), before)


def test_what_was_frozen_stays_frozen_and_the_type_stays() -> None:
    layer = nn.Linear(5, 3).bfloat16().requires_grad_(False)
    keep_columns_(layer, KEPT, torch.zeros(3, dtype=torch.float64))
    keep_units_(layer, torch.tensor([2]))
    assert {(p.dtype, p.requires_grad) for p in layer.parameters()} == {(torch.bfloat16, False)}
    assert (layer.in_features, layer.out_features) == (2, 1)


def test_weights_by_column_are_what_an_impulse_gives() -> None:
    conv = nn.Conv2d(3, 5, 2, bias=False)
    impulse = torch.zeros(1, 3, 3, 3)
    impulse[0, 1, 1, 1] = 1.0
    given = F.conv2d(impulse, conv.weight).flatten(2)[0].flip(1)
    torch.testing.assert_close(weight_by_column(conv)[1], given.detach())
    assert weight_by_column(nn.Linear(4, 2)).shape == (4, 2, 1)
    assert n_units(conv) == 5 and n_units(nn.Embedding(9, 4)) == 4

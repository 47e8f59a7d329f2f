from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from alnico.errors import RecipeError
from alnico.networks import Architecture, build
from alnico.networks.text_gru import BothWays
from alnico.types import Inputs

INPUTS = Inputs(words=20, bag=20)
LENGTHS = torch.tensor([9, 1, 4, 7])
PADDING = torch.arange(9) >= LENGTHS[:, None]


def as_torch_gru(layer: BothWays, in_width: int) -> nn.GRU:
    """`nn.GRU` with the same weights: one way after the other, gates in rows."""
    gru = nn.GRU(in_width, layer.width, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for way, suffix in enumerate(("", "_reverse")):
            read = slice(way * 3 * layer.width, (way + 1) * 3 * layer.width)
            getattr(gru, f"weight_ih_l0{suffix}").copy_(layer.read.weight[read])
            getattr(gru, f"bias_ih_l0{suffix}").copy_(layer.read.bias[read])
            getattr(gru, f"weight_hh_l0{suffix}").copy_(layer.recur[way].T)
            # torch has a second bias for every gate; only the proposal's differs from the first
            bias = F.pad(layer.recur_bias[way, 0], (2 * layer.width, 0))
            getattr(gru, f"bias_hh_l0{suffix}").copy_(bias)
    return gru


def packed(gru: nn.GRU, x: Tensor) -> Tensor:
    sequence = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(gru(sequence)[0], batch_first=True, total_length=x.shape[1])[0]


@pytest.fixture
def layer() -> BothWays:
    layer = BothWays(5, 6)
    nn.init.normal_(layer.recur_bias)
    return layer


def test_the_recurrence_is_that_of_torch(layer: BothWays) -> None:
    x = torch.randn(4, 9, 5)
    states = layer(x, torch.zeros(4, 9, dtype=torch.bool))
    torch.testing.assert_close(states, as_torch_gru(layer, 5)(x)[0], rtol=1e-5, atol=1e-6)


def test_padding_is_passed_over_as_packed_sequences_do(layer: BothWays) -> None:
    x = torch.randn(4, 9, 5)
    words = ~PADDING.unsqueeze(-1)
    states = layer(x, PADDING) * words
    torch.testing.assert_close(states, packed(as_torch_gru(layer, 5), x), rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_torch_and_finite_at_padding(layer: BothWays) -> None:
    ours = torch.randn(4, 9, 5, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    weight = torch.randn(4, 9, 12) * ~PADDING.unsqueeze(-1)
    gru = as_torch_gru(layer, 5)
    (layer(ours, PADDING) * weight).sum().backward()
    (packed(gru, theirs) * weight).sum().backward()
    assert ours.grad is not None and theirs.grad is not None and not ours.grad[PADDING].any()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    for way, suffix in enumerate(("", "_reverse")):
        expected = getattr(gru, f"weight_hh_l0{suffix}").grad.T
        torch.testing.assert_close(layer.recur.grad[way], expected, rtol=1e-4, atol=1e-5)


def test_the_network_is_two_layers_of_torch_pooled_by_maximum() -> None:
    module = build(Architecture("text_gru", depth=2, width=8), INPUTS, 3).eval()
    words = torch.randint(1, 20, (4, 9)).masked_fill(PADDING, 0)
    x = module.embedding(words)
    for layer in module.layers:
        x = packed(as_torch_gru(layer, 8), x)
    peak = torch.stack([row[:n].amax(0) for row, n in zip(x, LENGTHS, strict=True)])
    torch.testing.assert_close(module({"words": words}), module.head(peak), rtol=1e-5, atol=1e-6)


def test_padding_columns_change_nothing(make_batch) -> None:
    module = build(Architecture("text_gru", width=8), INPUTS, 3).eval()
    words = make_batch(INPUTS, 6)["words"]
    assert torch.equal(module({"words": words}), module({"words": F.pad(words, (0, 40))}))


def test_the_order_of_words_matters() -> None:
    module = build(Architecture("text_gru", width=8), INPUTS, 3).eval()
    words = torch.tensor([[3, 4, 5], [5, 4, 3]])
    one, other = module({"words": words})
    assert not torch.allclose(one, other)


def test_rows_without_a_word_are_answered_alike() -> None:
    module = build(Architecture("text_gru", width=8), INPUTS, 3).eval()
    out = module({"words": torch.zeros(2, 5, dtype=torch.int32)})
    assert torch.equal(out[0], out[1]) and out.isfinite().all()


def test_an_odd_width_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"width must be even, got 7\n.*half of it"):
        build(Architecture("text_gru", width=7), INPUTS, 2)

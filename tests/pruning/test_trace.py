from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.pruning.trace import trace

KNOWN = (nn.Linear, nn.ReLU)


class Net(nn.Module):
    """Layers, a function, a question about shapes, and a weight that is read directly."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.act = nn.ReLU()
        self.norm = nn.LayerNorm(4)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.first(x))
        assert h.shape[1] == h.size(1) == 4 and len(h) and h.dim() == 2
        out: Tensor = self.last(self.norm(h)) + self.last.weight.sum()
        return out


def test_every_call_of_a_known_layer_is_one_call_whatever_it_does_inside() -> None:
    net, x = Net(), torch.randn(5, 3)
    found = trace(net, x, KNOWN)
    made_by = [call.made_by for call in found.calls]
    assert made_by[:2] == [net.first, net.act]
    assert F.linear not in made_by and F.relu not in made_by
    (first,) = found.made_by(net.first)
    assert first.inputs[0] is x
    assert [call.made_by for call in found.uses(x)] == [net.first]


def test_what_happens_between_known_layers_is_seen() -> None:
    net = Net()
    found = trace(net, torch.randn(5, 3), KNOWN)
    (act,) = found.made_by(net.act)
    assert isinstance(act.output, Tensor)
    assert [call.made_by for call in found.uses(act.output)] == [F.layer_norm]
    assert [call.made_by for call in found.uses(net.last.weight)] == [Tensor.sum]
    assert found.uses(net.first.weight) == []


def test_tensors_inside_lists_and_under_names_are_seen() -> None:
    class Joins(nn.Module):
        def forward(self, batch: dict[str, Tensor]) -> Tensor:
            return torch.cat([batch["a"], batch["b"]], dim=1)

    batch = {"a": torch.randn(2, 1), "b": torch.randn(2, 2)}
    found = trace(Joins(), batch, KNOWN)
    assert all(found.uses(t)[0].made_by is torch.cat for t in batch.values())


def test_a_recurrent_layer_is_seen_to_use_its_input() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.gru = nn.Linear(3, 4), nn.GRU(4, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.gru(self.first(x))[0]
            return out

    net = Reads()
    found = trace(net, torch.randn(2, 5, 3), KNOWN)
    (first,) = found.made_by(net.first)
    assert isinstance(first.output, Tensor)
    assert found.uses(first.output)


def test_no_hook_is_left_behind_even_after_an_error() -> None:
    net = Net()
    with pytest.raises(RuntimeError):
        trace(net, torch.randn(5, 9), KNOWN)
    trace(net, torch.randn(5, 3), KNOWN)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())

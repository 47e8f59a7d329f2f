from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError
from alnico.networks import Architecture, build
from alnico.pruning import narrow_, prune
from alnico.types import Inputs


def small_cnn(width: int = 8) -> nn.Sequential:
    layers = [nn.Conv2d(1, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    layers += [nn.Conv2d(width, 4, 3, bias=False), nn.Flatten(), nn.Linear(16, 6), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(6, 2)).eval()


@pytest.mark.parametrize("name", ["mlp", "resnet", "dcn", "text_bag", "text_gru", "mixed"])
def test_a_pruned_network_is_made_anew_from_a_file(
    name: str, inputs: Inputs, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    architecture = Architecture(name, width=12, depth=2)
    pruned = prune(build(architecture, inputs, 3), keep=0.4, example=batch).eval()
    save_file(pruned.state_dict(), tmp_path / "pruned.safetensors")
    fresh = build(architecture, inputs, 3, seed=9).eval()
    state = load_file(tmp_path / "pruned.safetensors")
    narrow_(fresh, state)
    fresh.load_state_dict(state)
    assert torch.equal(fresh(batch), pruned(batch))
    assert repr(fresh) == repr(pruned)


def test_an_image_network_gets_its_norms_and_new_biases() -> None:
    x = torch.randn(20, 1, 6, 6)
    pruned = prune(small_cnn(), keep=0.5, example=x)
    fresh = small_cnn()
    assert fresh[3].bias is None
    narrow_(fresh, pruned.state_dict())
    fresh.load_state_dict(pruned.state_dict())
    assert torch.equal(fresh(x), pruned(x))
    assert fresh[1].num_features == 4 and fresh[3].in_channels == 4


def test_a_layer_of_two_names_is_narrowed_under_both() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 2, bias=False)
            self.layers = nn.ModuleList([self.first, self.last])

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.last(self.first(x))
            return out

    x = torch.randn(20, 3)
    pruned, fresh = prune(Named(), example=x), Named()
    narrow_(fresh, pruned.state_dict())
    fresh.load_state_dict(pruned.state_dict())
    assert torch.equal(fresh(x), pruned(x)) and fresh.first is fresh.layers[0]


def test_a_state_of_the_same_shapes_changes_nothing() -> None:
    module = small_cnn()
    before = [(name, id(p), p.clone()) for name, p in module.named_parameters()]
    narrow_(module, small_cnn().state_dict())
    after = list(module.named_parameters())
    assert [(name, id(p)) for name, p in after] == [(name, i) for name, i, _ in before]
    assert all(torch.equal(p, old) for (_, p), (_, _, old) in zip(after, before, strict=True))


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key != name}


FAULTS = {
    "larger": (lambda s: small_cnn(9).state_dict(), r"0\.weight is \[9, 1, 3, 3\], where .*\[8, 1"),
    "missing": (lambda s: without(s, "5.bias"), r"5\.bias is missing"),
    "unknown": (lambda s: s | {"5.scale": torch.ones(6)}, r"5\.scale is no tensor of the module"),
    "new": (lambda s: s | {"9.bias": torch.ones(6)}, r"9\.bias is no tensor of the module"),
    "more axes": (lambda s: s | {"5.bias": torch.ones(6, 1)}, r"5\.bias is \[6, 1\]"),
    "empty": (lambda s: s | {"7.weight": torch.ones(2, 0)}, r"7\.weight is \[2, 0\]"),
    "uneven": (lambda s: s | {"5.weight": torch.ones(3, 16)}, "does not fit the layer's other"),
    "a wrong new bias": (lambda s: s | {"3.bias": torch.ones(5)}, "does not fit the layer's other"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_state_that_pruning_does_not_make_is_refused(fault: str) -> None:
    change, message = FAULTS[fault]
    module = small_cnn()
    before = copy.deepcopy(module)
    with pytest.raises(IncompatibleModelsError, match=message) as caught:
        narrow_(module, change(module.state_dict()))
    assert "not that of a pruned Sequential" in str(caught.value)
    assert repr(module) == repr(before)
    module.load_state_dict(before.state_dict())


def test_a_layer_that_pruning_leaves_alone_is_not_narrowed() -> None:
    module = nn.Sequential(nn.LayerNorm(6))
    with pytest.raises(IncompatibleModelsError, match=r"0\.bias is \[4\], where the module has"):
        narrow_(module, nn.Sequential(nn.LayerNorm(4)).state_dict())


def test_a_long_list_of_faults_is_cut() -> None:
    with pytest.raises(IncompatibleModelsError, match=r"; \.\.\. 5 more"):
        narrow_(small_cnn(), {})

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from alnico.errors import IncompatibleModelsError, UnknownNameError
from alnico.probing import read_outputs, tap


class CNN(nn.Module):
    """A small network of the kind users bring: convolutions, batch norm, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(3)
        )
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(36, 10)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.drop(self.body(images).flatten(1)))
        return out


class HeadFirst(nn.Module):
    """Defined in another order than it runs, and with a layer that never does."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 2)
        self.body = nn.Sequential(nn.Linear(3, 6), nn.ReLU())
        self.unused = nn.Linear(5, 5)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        out: Tensor = self.head(self.body(batch["x"] + batch["y"]))
        return out


@pytest.fixture
def images(shared_data: Path) -> Tensor:
    raw = gzip.decompress((shared_data / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = torch.frombuffer(bytearray(raw[16 : 16 + 120 * 784]), dtype=torch.uint8)
    return pixels.view(120, 1, 28, 28).float() / 255


def test_the_features_of_a_network_are_the_input_of_its_head() -> None:
    module = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 4), nn.Tanh()))
    module.append(nn.Linear(4, 2))
    x = torch.randn(5, 3)
    outputs = tap(module, x)
    assert torch.equal(outputs.logits, module(x))
    assert torch.equal(outputs.features, module[:3](x))
    assert torch.equal(module[3](outputs.features), outputs.logits)


def test_the_head_is_what_runs_last_and_not_what_is_defined_last() -> None:
    module, batch = HeadFirst(), {"x": torch.randn(4, 3), "y": torch.randn(4, 3)}
    outputs = tap(module, batch)
    assert outputs.features.shape == (4, 6)
    assert torch.equal(module.head(outputs.features), outputs.logits)


def test_an_image_network_is_read_on_real_images(images: Tensor) -> None:
    module = CNN().eval()
    outputs = tap(module, images)
    assert torch.equal(outputs.features, module.body(images).flatten(1))
    assert torch.equal(module.head(outputs.features), outputs.logits)


@pytest.mark.parametrize("module", [nn.Flatten(), nn.Conv1d(2, 2, 1), nn.Identity()])
def test_a_network_without_a_linear_layer_has_features_of_width_0(module: nn.Module) -> None:
    x = torch.randn(4, 2, 1)
    outputs = tap(module, x)
    assert outputs.features.shape == (4, 0)
    assert torch.equal(outputs.logits, module(x))


def test_features_with_several_axes_are_laid_flat() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.Flatten())  # over words, then joined
    x = torch.randn(4, 5, 3)
    assert torch.equal(tap(module, x).features, x.flatten(1))


def test_a_gradient_flows_through_the_tap() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    tap(module, torch.randn(5, 3)).features.sum().backward()
    assert module[0].weight.grad is not None and module[0].weight.grad.any()
    assert module[2].weight.grad is None


def test_no_hook_is_left_behind_even_after_an_error() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    tap(module, torch.randn(5, 3))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        tap(module, torch.randn(5, 9))
    assert not any(layer._forward_pre_hooks for layer in module.modules())


def test_reading_is_in_evaluation_mode_and_puts_every_mode_back() -> None:
    module = CNN().train()
    module.body.eval()  # a user who freezes a part must find it frozen
    before = [layer.training for layer in module.modules()]
    statistics = module.body[1].running_mean.clone()
    x = torch.randn(6, 1, 28, 28)
    one, other = read_outputs(module, x), read_outputs(module, x)
    assert torch.equal(one.logits, other.logits), "dropout was left on"
    assert [layer.training for layer in module.modules()] == before
    assert torch.equal(module.body[1].running_mean, statistics)
    assert not one.logits.requires_grad and not one.features.requires_grad


def test_modes_are_put_back_after_an_error() -> None:
    module = CNN().train()
    with pytest.raises(RuntimeError):
        read_outputs(module, torch.randn(2, 3, 28, 28))
    assert all(layer.training for layer in module.modules())


@pytest.mark.parametrize("batch_size", [1, 7, 120, 1_000])
def test_batches_do_not_change_what_is_said(images: Tensor, batch_size: int) -> None:
    module = CNN().eval()
    whole, parts = tap(module, images), read_outputs(module, images, batch_size=batch_size)
    torch.testing.assert_close(parts.logits, whole.logits, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(parts.features, whole.features, rtol=1e-5, atol=1e-6)
    again = read_outputs(module, images, batch_size=batch_size)
    assert torch.equal(again.logits, parts.logits) and torch.equal(again.features, parts.features)


def test_named_tensors_are_cut_together() -> None:
    module, batch = HeadFirst(), {"x": torch.randn(10, 3), "y": torch.randn(10, 3)}
    outputs = read_outputs(module, batch, batch_size=4)
    torch.testing.assert_close(outputs.logits, module(batch))


def test_tensors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        read_outputs(HeadFirst(), {"x": torch.randn(9, 3), "y": torch.randn(4, 3)}, batch_size=4)


def test_a_named_layer_gives_what_it_says(images: Tensor) -> None:
    module = CNN().eval()
    outputs = tap(module, images, "body.1")
    assert torch.equal(outputs.features, module.body[:2](images).flatten(1))
    assert torch.equal(outputs.logits, module(images))
    whole = tap(module, images, "body.2").features
    parts = read_outputs(module, images, batch_size=50, layer="body.2").features
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    tap(module, images, "body.0").features.sum().backward()
    assert module.body[0].weight.grad is not None


def test_a_layer_of_one_number_a_row_is_one_feature() -> None:
    class Sums(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(1)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sums = Sums()

        def forward(self, x: Tensor) -> Tensor:
            return self.sums(x).unsqueeze(1)

    x = torch.randn(4, 3)
    assert torch.equal(tap(Net(), x, "sums").features, x.sum(1, keepdim=True))


def test_of_a_layer_that_runs_twice_the_last_output_counts() -> None:
    layer = nn.Linear(3, 3)
    module, x = nn.Sequential(layer, nn.ReLU(), layer), torch.randn(4, 3)
    for name in ("0", "2"):
        assert torch.equal(tap(module, x, name).features, module(x))


def test_an_unknown_layer_points_to_the_right_one() -> None:
    module, batch = HeadFirst(), {"x": torch.randn(4, 3), "y": torch.randn(4, 3)}
    with pytest.raises(UnknownNameError, match=r"no layer 'bodi.0'\n.*did you mean 'body.0'"):
        tap(module, batch, "bodi.0")
    with pytest.raises(UnknownNameError, match=r"its layers are head, body, body\.0"):
        tap(module, batch, "transformer")
    with pytest.raises(UnknownNameError, match="has no layer ''"):
        tap(module, batch, "")
    assert not any(layer._forward_hooks for layer in module.modules())


def test_a_layer_that_does_not_run_is_refused() -> None:
    batch = {"x": torch.randn(4, 3), "y": torch.randn(4, 3)}
    with pytest.raises(IncompatibleModelsError, match="layer 'unused' did not run"):
        tap(HeadFirst(), batch, "unused")


def test_a_layer_without_one_tensor_a_row_is_refused() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.time_first = nn.GRU(3, 2), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.gru(self.time_first(x.transpose(0, 1)))[0][-1]
            return out

    x = torch.randn(4, 7, 3)
    with pytest.raises(IncompatibleModelsError, match="'gru' gives a tuple, not a tensor"):
        tap(Reads(), x, "gru")
    with pytest.raises(IncompatibleModelsError, match=r"gives \[7, 4, 3\] for 4 rows"):
        tap(Reads(), x, "time_first")


def test_a_network_that_gives_no_tensor_is_refused() -> None:
    with pytest.raises(IncompatibleModelsError, match="GRU gives a tuple, not a tensor"):
        tap(nn.GRU(3, 2), torch.randn(4, 7, 3))

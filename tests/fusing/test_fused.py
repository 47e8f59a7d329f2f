from __future__ import annotations

import copy
import gzip
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from alnico.errors import RecipeError, UnknownNameError
from alnico.fusing import Fused
from alnico.networks import Architecture, build
from alnico.probing import read_outputs, tap
from alnico.structures import Attention, Average, Concat, Parts, Stacking
from alnico.types import Inputs, Task

TASK = Task("multiclass", tuple(range(10)))


@pytest.fixture
def images(shared_data: Path) -> Tensor:
    raw = gzip.decompress((shared_data / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = torch.frombuffer(bytearray(raw[16 : 16 + 300 * 784]), dtype=torch.uint8)
    return pixels.view(300, 1, 28, 28).float() / 255


@pytest.fixture
def cnns() -> list[nn.Module]:
    """Two image networks with nothing in common but their inputs and outputs."""
    pooled = [nn.Conv2d(1, 4, 5, stride=2), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten()]
    deep = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.SiLU(), nn.MaxPool2d(5), nn.Flatten()]
    return [
        nn.Sequential(*pooled, nn.Linear(16, 10)).eval(),
        nn.Sequential(*deep, nn.Linear(75, 12), nn.ReLU(), nn.Linear(12, 10)).eval(),
    ]


def test_one_member_without_a_structure_is_that_network(images: Tensor, cnns) -> None:
    fused = Fused(cnns[:1])
    assert torch.equal(fused(images), cnns[0](images))
    assert fused.n_parameters == 4 * 25 + 4 + 16 * 10 + 10


@pytest.mark.parametrize("structure", [Concat([16, 12], 10), Attention([16, 12], 10)])
def test_before_it_learns_it_is_the_mean_of_the_logits(images: Tensor, cnns, structure) -> None:
    mean = (cnns[0](images) + cnns[1](images)) / 2
    torch.testing.assert_close(Fused(cnns, structure)(images), mean, rtol=0, atol=1e-6)


def test_it_says_what_the_structure_said_of_the_members_outputs(images: Tensor, cnns) -> None:
    target = torch.arange(300) % 10
    parts = Parts.of([read_outputs(cnn, images) for cnn in cnns])
    for structure in (Stacking, Concat, Attention, Average):
        learned = structure.learn(parts, target, TASK)
        fused = Fused([cnns[i] for i in learned.members], learned.structure).eval()
        said = read_outputs(fused, images).logits
        torch.testing.assert_close(said, learned(parts), rtol=1e-4, atol=1e-5)


def test_its_parameters_are_the_members_and_the_structures(cnns) -> None:
    structure = Concat([16, 12], 10)
    parts = [*cnns, structure]
    expected = sum(p.numel() for part in parts for p in part.parameters())
    assert Fused(cnns, structure).n_parameters == expected


def test_a_state_goes_into_another_of_the_same_make(images: Tensor, cnns) -> None:
    structure = Attention([16, 12], 10)
    for parameter in structure.parameters():
        nn.init.normal_(parameter)
    fused = Fused(cnns, structure)
    again = Fused(copy.deepcopy(cnns), Attention(**structure.settings))
    assert not torch.equal(again(images), fused(images))
    again.load_state_dict(fused.state_dict())
    assert torch.equal(again(images), fused(images))


def test_networks_that_read_different_tensors_are_joined() -> None:
    inputs = Inputs(numbers=2, words=9, bag=9)
    members = [build(Architecture(name, width=6), inputs, 2).eval() for name in ("mlp", "text_gru")]
    batch = {"quantile": torch.rand(5, 2), "words": torch.randint(9, (5, 4))}
    mean = (members[0](batch) + members[1](batch)) / 2
    torch.testing.assert_close(Fused(members, Concat([6, 6], 2))(batch), mean)


def test_a_fused_network_can_be_a_member_itself(images: Tensor, cnns) -> None:
    inner = Fused(cnns, Concat([16, 12], 10))
    features = tap(inner, images).features
    assert torch.equal(features, tap(cnns[1], images).features)
    outer = Fused([inner, cnns[0]], Stacking(2, 10))
    expected = (inner(images) + cnns[0](images)) / 2
    torch.testing.assert_close(outer(images), expected, rtol=1e-5, atol=1e-6)


def test_several_members_need_a_structure(cnns) -> None:
    with pytest.raises(RecipeError, match="2 members and no structure that joins them"):
        Fused(cnns)
    with pytest.raises(RecipeError, match="0 members"):
        Fused([])


def test_taps_name_the_layers_whose_outputs_are_joined(images: Tensor, cnns) -> None:
    taps = ("0", "5")
    fused = Fused(cnns, Concat([4 * 144, 12], 10), taps)
    nn.init.normal_(fused.structure.weight)
    parts = Parts.of([tap(cnn, images, layer) for cnn, layer in zip(cnns, taps, strict=True)])
    assert torch.equal(parts.features[1], cnns[1][:6](images))
    assert torch.equal(fused(images), fused.structure(parts))
    again = Fused(cnns, Concat([16, 12], 10), (None, "5"))
    torch.testing.assert_close(again(images), (cnns[0](images) + cnns[1](images)) / 2)


def test_a_tap_that_does_not_exist_points_to_the_right_one(cnns) -> None:
    with pytest.raises(UnknownNameError, match=r"no layer '9'\n  help: its layers are 0, 1"):
        Fused(cnns, Concat([16, 12], 10), (None, "9"))


def test_taps_and_places_are_one_a_member(cnns) -> None:
    with pytest.raises(RecipeError, match="2 members need as many taps, got 1"):
        Fused(cnns, Concat([16, 12], 10), ["5"])
    with pytest.raises(RecipeError, match="2 members need as many places, got 3"):
        Fused(cnns, Concat([16, 12], 10), chosen=(0, 1, 2))
    assert Fused(cnns, Concat([16, 12], 10), chosen=(4, 0)).chosen == (4, 0)
    assert Fused(cnns, Concat([16, 12], 10)).chosen == (0, 1)

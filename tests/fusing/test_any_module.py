"""Any module and any loader through the same doors: two image networks, trained and fused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from alnico.fusing import Fused, crossfit
from alnico.probing import Outputs, read_outputs
from alnico.structures import Learned, Parts, Structure, structures
from alnico.training import Setting, Training, train
from alnico.types import Task

TASK = Task("multiclass", tuple(range(10)))
TRAIN, VALID, TEST = range(3_000), range(3_000, 4_000), range(4_000, 6_000)
NAMES = ("average", "selection", "stacking", "concat", "attention")


def part(path: Path, rows: range, offset: int, size: int) -> Tensor:
    """Bytes of an IDX file, `size` for each row."""
    with gzip.open(path) as file:
        file.seek(offset + rows.start * size)
        raw = bytearray(file.read(len(rows) * size))
    return torch.frombuffer(raw, dtype=torch.uint8)


def digits(folder: Path, rows: range) -> TensorDataset:
    pixels = part(folder / "train-images-idx3-ubyte.gz", rows, 16, 784)
    labels = part(folder / "train-labels-idx1-ubyte.gz", rows, 8, 1)
    return TensorDataset(pixels.view(-1, 1, 28, 28).float() / 255, labels.long())


def cnns() -> list[nn.Module]:
    """A shallow one of wide strokes, and a deep one of narrow ones."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        wide = [nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        narrow = [nn.Conv2d(1, 6, 3), nn.SiLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.SiLU()]
        return [
            nn.Sequential(*wide, nn.Linear(8 * 36, 24), nn.ReLU(), nn.Linear(24, 10)),
            nn.Sequential(*narrow, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(72, 10)),
        ]


class Sets:
    """The three parts of the digits."""

    def __init__(self, folder: Path) -> None:
        self.train, self.valid, self.test = (digits(folder, r) for r in (TRAIN, VALID, TEST))


@pytest.fixture(scope="module")
def sets() -> Sets:
    folder = Path(__file__).parents[3] / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("the shared data sets are not here")
    return Sets(folder)


@pytest.fixture(scope="module")
def training(sets: Sets) -> Training:
    torch.set_num_threads(1)
    order = torch.Generator().manual_seed(0)
    return train(
        cnns(),
        DataLoader(sets.train, batch_size=50, shuffle=True, generator=order),
        valid=DataLoader(sets.valid, batch_size=500),
        settings=[Setting("adamw", 1e-2), Setting("nadam", 1e-2, seed=1)],
        loss=F.cross_entropy,
        epochs=2,
    )


@pytest.fixture(scope="module")
def members(training: Training) -> list[nn.Module]:
    return [member.module for member in training.members]


@pytest.fixture(scope="module")
def parts(members: list[nn.Module], sets: Sets) -> dict[str, Parts]:
    return {
        name: Parts.of([read_outputs(m, getattr(sets, name).tensors[0]) for m in members])
        for name in ("valid", "test")
    }


def loss(logits: Tensor, rows: TensorDataset) -> float:
    return float(F.cross_entropy(logits, rows.tensors[1]))


def test_two_networks_of_different_make_learn_from_one_loader(training, sets: Sets) -> None:
    assert training.way == "loop" and "differ in architecture" in training.why
    images, labels = sets.valid.tensors
    for member in training.members:
        said = read_outputs(member.module, images).logits
        assert (said.argmax(1) == labels).float().mean() > 0.8
        best = min(epoch.valid_loss for epoch in member.history)
        assert loss(said, sets.valid) == pytest.approx(best, rel=1e-4)


def test_features_are_what_the_last_layer_reads(members, sets: Sets) -> None:
    images = sets.valid.tensors[0][:20]
    for member in members:
        found: Outputs = read_outputs(member, images)
        with torch.no_grad():
            features = member[:-1](images)
        torch.testing.assert_close(found.features, features)
        torch.testing.assert_close(found.logits, member[-1](features).detach())


@pytest.mark.parametrize("name", NAMES)
def test_fused_they_lose_less_than_the_better_of_them(parts, sets: Sets, name: str) -> None:
    learned = structures[name].learn(parts["valid"], sets.valid.tensors[1], TASK)
    with torch.no_grad():
        for which in ("valid", "test"):
            alone = min(loss(logits, getattr(sets, which)) for logits in parts[which].logits)
            fused = loss(learned(parts[which]), getattr(sets, which))
            assert fused < 0.97 * alone, which


@pytest.mark.parametrize("name", NAMES)
def test_one_network_says_what_the_structure_says_of_read_outputs(
    members, parts, sets: Sets, name: str
) -> None:
    learned = structures[name].learn(parts["valid"], sets.valid.tensors[1], TASK)
    fused = Fused([members[i] for i in learned.members], learned.structure)
    images = sets.test.tensors[0][:300]
    with torch.no_grad():
        joined = learned(parts["test"].rows(torch.arange(300)))
        torch.testing.assert_close(fused.eval()(images), joined, rtol=1e-4, atol=1e-5)


class OnDigits:
    """A learned structure over the validation digits, for cross-fitting."""

    def __init__(self, learned: Learned[Structure], parts: Parts) -> None:
        self.learned, self.parts = learned, parts

    @torch.no_grad()
    def outputs(self, rows: Tensor) -> Tensor:
        return self.learned(self.parts.rows(rows))


def test_out_of_fold_outputs_foretell_the_loss_on_new_rows(parts, sets: Sets) -> None:
    target = sets.valid.tensors[1]

    def learn(rows: Tensor) -> OnDigits:
        learned = structures["concat"].learn(parts["valid"].rows(rows), target[rows], TASK)
        return OnDigits(learned, parts["valid"])

    fitted = crossfit(learn, torch.arange(len(target)) % 4)
    seen = loss(fitted.fit.outputs(torch.arange(len(target))), sets.valid)
    held = loss(fitted.outputs, sets.valid)
    with torch.no_grad():
        new = loss(fitted.fit.learned(parts["test"]), sets.test)
    assert seen < held
    assert abs(held - new) < 0.1


def test_members_stay_as_they_were_trained(members, parts, sets: Sets) -> None:
    before = [p.clone() for member in members for p in member.parameters()]
    structures["attention"].learn(parts["valid"], sets.valid.tensors[1], TASK)
    after = [p for member in members for p in member.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)

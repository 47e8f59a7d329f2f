from __future__ import annotations

import copy
import gzip
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from alnico.data.batches import Rows, epoch_order
from alnico.errors import DataError, IncompatibleModelsError, RecipeError, UnknownNameError
from alnico.training import Setting, Training, train
from alnico.training.feed import RowsFeed
from alnico.training.ways import Asked

N_INPUTS = 6

TORCH = {
    "sgd": lambda p, **o: torch.optim.SGD(p, momentum=0.9, nesterov=True, **o),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "rmsprop": torch.optim.RMSprop,
}


def perceptron(seed: int, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(N_INPUTS, 8), nn.LayerNorm(8), nn.SiLU(), nn.Dropout(dropout), nn.Linear(8, 3)
    )


def table(n: int = 200, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, N_INPUTS, generator=generator)
    return Rows(inputs, inputs[:, :3].argmax(-1))


def by_hand(module: nn.Module, data: Rows, setting: Setting, epochs: int, batch: int) -> nn.Module:
    """The loop that everyone writes, with torch's own optimiser."""
    module = copy.deepcopy(module)
    optimiser = TORCH[setting.optimiser](
        module.parameters(), lr=setting.rate, weight_decay=setting.weight_decay
    )
    generator = torch.Generator().manual_seed(setting.seed)
    n_steps = epochs * len(epoch_order(len(data), batch, torch.Generator()))
    warm = max(1, round(0.05 * n_steps))
    step = 0
    for _ in range(epochs):
        for index in epoch_order(len(data), batch, generator):
            wave = 0.5 * (1 + math.cos(math.pi * (step - warm + 1) / (n_steps - warm + 1)))
            optimiser.param_groups[0]["lr"] = setting.rate * (
                (step + 1) / warm if step < warm else wave
            )
            own = data.take(index)
            assert isinstance(own.inputs, Tensor)
            optimiser.zero_grad()
            F.cross_entropy(module(own.inputs), own.target).backward()
            optimiser.step()
            step += 1
    return module


def weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def fit(modules: Sequence[nn.Module], settings: Sequence[Setting], **options: object) -> Training:
    given = {"epochs": 3, "batch_size": 32, **options}
    data = given.pop("data", table())
    return train(modules, data, settings=settings, loss=F.cross_entropy, **given)  # type: ignore[arg-type]


SETTINGS = {
    name: [Setting(name, 3e-3, 0.01, seed=seed) for seed in range(3)] for name in sorted(TORCH)
} | {
    "mix": [
        Setting("sgd", 0.05, seed=5),
        Setting("adamw", 3e-3, 0.1, seed=6),
        Setting("rmsprop", 1e-3, seed=7),
        Setting("adamw", 3e-3, 0.1, seed=8),
        Setting("nadam", 1e-3, seed=9),
    ]
}


@pytest.mark.parametrize("way", ["stacked", "vmap", "loop"])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_way_gives_what_a_loop_by_hand_gives(name: str, way: Asked) -> None:
    settings = SETTINGS[name]
    modules = [perceptron(seed) for seed in range(len(settings))]
    done = fit(modules, settings, way=way)
    assert done.way == way
    for module, setting, trained in zip(modules, settings, done.members, strict=True):
        expected = by_hand(module, table(), setting, epochs=3, batch=32)
        torch.testing.assert_close(weights(trained.module), weights(expected), rtol=2e-3, atol=2e-4)


def test_modules_stay_as_they_are() -> None:
    modules = [perceptron(seed).train() for seed in range(2)]
    before = [weights(module).clone() for module in modules]
    done = fit(modules, [Setting(), Setting()])
    for module, old, trained in zip(modules, before, done.members, strict=True):
        assert torch.equal(weights(module), old)
        assert module.training
        assert not trained.module.training
        assert not torch.equal(weights(trained.module), old)


@pytest.mark.parametrize("way", ["stacked", "vmap", "loop", "rule"])
def test_a_seeded_run_with_dropout_repeats_itself_exactly(way: Asked) -> None:
    def run() -> Training:
        modules = [perceptron(seed, dropout=0.3) for seed in range(3)]
        torch.rand(3)
        settings = [Setting(seed=seed) for seed in range(3)]
        return fit(modules, settings, way=way, valid=table(50, seed=1))

    for one, two in zip(run().members, run().members, strict=True):
        assert one.history == two.history
        assert torch.equal(weights(one.module), weights(two.module))


@pytest.mark.parametrize("way", ["stacked", "loop"])
def test_the_best_epoch_by_validation_is_given_back(way: Asked) -> None:
    valid = table(80, seed=1)
    modules = [perceptron(seed) for seed in range(3)]
    settings = [Setting("sgd", rate, seed=1) for rate in (0.05, 0.8, 3.0)]
    options = {"epochs": 12, "patience": 2, "schedule": "constant", "valid": valid}
    done = fit(modules, settings, way=way, **options)
    assert isinstance(valid.inputs, Tensor)
    for trained in done.members:
        losses = [epoch.valid_loss for epoch in trained.history]
        assert None not in losses
        assert trained.best_epoch == losses.index(min(losses)) + 1  # type: ignore[type-var]
        again = F.cross_entropy(trained.module(valid.inputs), valid.target).item()
        assert again == pytest.approx(min(losses), rel=1e-4)  # type: ignore[type-var]
        if trained.stopped == "patience":
            assert len(trained.history) == trained.best_epoch + 2
    assert len({len(trained.history) for trained in done.members}) > 1


def test_members_stop_for_themselves_and_alike_in_each_way() -> None:
    modules = [perceptron(seed) for seed in range(4)]
    settings = [Setting("sgd", rate, seed=1) for rate in (0.05, 0.5, 1.0, 2.0)]
    options = {"epochs": 10, "patience": 1, "schedule": "constant", "valid": table(60, seed=1)}
    stacked, loop = (fit(modules, settings, way=way, **options) for way in ("stacked", "loop"))
    assert len({trained.best_epoch for trained in loop.members}) > 1
    for one, two in zip(stacked.members, loop.members, strict=True):
        assert (one.best_epoch, one.stopped) == (two.best_epoch, two.stopped)
        torch.testing.assert_close(weights(one.module), weights(two.module), rtol=1e-2, atol=1e-3)


def test_training_again_up_to_the_best_epoch_gives_the_best_weights() -> None:
    modules, settings = [perceptron(0), perceptron(1)], [Setting("sgd", 0.5, seed=3)] * 2
    valid = table(60, seed=1)
    first = fit(modules, settings, epochs=8, way="stacked", valid=valid)
    best = first.members[0].best_epoch
    again = fit(modules, settings, epochs=8, stop_after=best, way="stacked")
    assert len(again.members[0].history) == best
    torch.testing.assert_close(weights(again.members[0].module), weights(first.members[0].module))


def normed(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(N_INPUTS, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_batch_norm_is_looped_and_its_statistics_move_as_by_hand() -> None:
    modules = [normed(0), normed(1)]
    settings = [Setting("sgd", 0.05, seed=4), Setting("sgd", 0.02, seed=5)]
    done = fit(modules, settings, way="rule")
    assert done.way == "loop"
    assert "Sequential cannot be stacked" in done.why
    for module, setting, trained in zip(modules, settings, done.members, strict=True):
        expected = by_hand(module, table(), setting, epochs=3, batch=32)
        for name, tensor in expected.state_dict().items():
            torch.testing.assert_close(
                trained.module.state_dict()[name], tensor, rtol=1e-3, atol=1e-4
            )


def test_the_statistics_are_those_of_the_best_epoch() -> None:
    valid = table(80, seed=1)
    options = {"epochs": 6, "schedule": "constant", "patience": None, "valid": valid}
    done = fit([normed(0)], [Setting("sgd", 2.0)], **options)
    trained = done.members[0]
    assert isinstance(valid.inputs, Tensor)
    again = F.cross_entropy(trained.module(valid.inputs), valid.target).item()
    assert again == pytest.approx(trained.history[trained.best_epoch - 1].valid_loss, rel=1e-4)


@pytest.mark.parametrize("way", ["stacked", "vmap", "loop"])
def test_frozen_and_tied_weights_stay_so(way: Asked) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(N_INPUTS, 3), nn.Linear(3, 3)
            self.middle = nn.Linear(3, 3)
            self.middle.weight = self.last.weight
            self.first.weight.requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.last(F.silu(self.middle(F.silu(self.first(x)))))
            return out

    modules = [Tied(), Tied()]
    done = fit(modules, [Setting(rate=0.01)] * 2, way=way)
    for module, trained in zip(modules, done.members, strict=True):
        after = trained.module
        assert isinstance(after, Tied)
        assert torch.equal(after.first.weight, module.first.weight)
        assert after.middle.weight is after.last.weight
        assert not torch.equal(after.last.weight, module.last.weight)
        assert not after.first.weight.requires_grad


def test_more_rows_a_batch_than_there_are_is_one_batch() -> None:
    done = fit([perceptron(0)], [Setting()], data=table(10), batch_size=256)
    assert len(done.members[0].history) == 3


def test_averages_are_kept_or_not() -> None:
    modules, settings = [perceptron(0), perceptron(1)], [Setting(), Setting(seed=1)]
    kept = fit(modules, settings, epochs=5).members[1]
    assert kept.ema is not None and kept.swa is not None
    for state in (kept.ema, kept.swa):
        assert list(state) == list(kept.module.state_dict())
        assert not torch.equal(state["0.weight"], kept.module.state_dict()["0.weight"])
    bare = fit(modules, settings, averages=False).members[1]
    assert bare.ema is None and bare.swa is None


def test_every_fault_of_the_parameters_is_said_at_once() -> None:
    with pytest.raises(RecipeError, match="epochs must be at least 1, got 0") as caught:
        fit([perceptron(0)], [], epochs=0, clip=-1.0, patience=0)
    for text in ("patience must", "clip must be above 0, got -1.0", "1 modules need as many"):
        assert text in str(caught.value)
    with pytest.raises(RecipeError, match="at least one module"):
        fit([], [])


def test_unknown_names_point_to_the_right_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        fit([perceptron(0)], [Setting()], way="stack")
    assert caught.value.help == "did you mean 'stacked'?"
    with pytest.raises(UnknownNameError) as caught:
        fit([perceptron(0)], [Setting()], schedule="cosin")
    assert caught.value.help == "did you mean 'cosine'?"


def test_nothing_to_train_is_an_error_that_names_the_module() -> None:
    with pytest.raises(IncompatibleModelsError, match=r"module 1 \(ReLU\) has no parameters"):
        fit([perceptron(0), nn.ReLU()], [Setting()] * 2)
    mixed = nn.Sequential(nn.Linear(N_INPUTS, 3), nn.Linear(3, 3, dtype=torch.float64))
    with pytest.raises(IncompatibleModelsError, match=r"torch.float32, torch.float64"):
        fit([mixed], [Setting()])
    with pytest.raises(DataError, match="nothing to train on"):
        fit([perceptron(0)], [Setting()], data=[])


def test_how_long_a_learner_keeps_its_turn_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(steps: int) -> Training:
        monkeypatch.setattr(RowsFeed, "run", steps)
        modules = [perceptron(seed, dropout=0.3) for seed in range(2)]
        return fit(modules, [Setting(seed=1), Setting("sgd", seed=2)], way="loop")

    for one, two in zip(run(1).members, run(3).members, strict=True):
        assert one.history == two.history
        assert torch.equal(weights(one.module), weights(two.module))


def mnist(folder: Path, n: int) -> Rows:
    def read(name: str, header: int, shape: tuple[int, ...]) -> Tensor:
        with gzip.open(folder / "mnist" / name) as file:
            file.read(header)
            count = int(np.prod(shape))
            return torch.from_numpy(np.frombuffer(file.read(count), np.uint8).reshape(shape).copy())

    images = read("train-images-idx3-ubyte.gz", 16, (n, 1, 28, 28)).float() / 255
    return Rows(images, read("train-labels-idx1-ubyte.gz", 8, (n,)).long())


def cnn(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(16 * 5 * 5, 10),
    )  # fmt: skip


@pytest.mark.parametrize("source", ["rows", "loader"])
def test_two_convolutional_networks_learn_digits_through_the_same_door(
    shared_data: Path, source: str
) -> None:
    digits = mnist(shared_data, 2500)
    index = torch.arange(2500)
    train_rows, valid = digits.take(index[:2000]), digits.take(index[2000:])
    assert isinstance(train_rows.inputs, Tensor) and isinstance(valid.inputs, Tensor)
    dataset = TensorDataset(train_rows.inputs, train_rows.target)
    loader = DataLoader(dataset, 64, shuffle=True, generator=torch.Generator().manual_seed(0))
    done = train(
        [cnn(0), cnn(1)],
        train_rows if source == "rows" else loader,
        settings=[Setting("adam", 3e-3, seed=0), Setting("sgd", 0.05, seed=1)],
        loss=F.cross_entropy,
        valid=valid,
        epochs=4,
        batch_size=64,
        way="rule",
    )
    assert done.way == "loop"
    for trained in done.members:
        found = trained.module(valid.inputs).argmax(-1)
        assert (found == valid.target).float().mean() > 0.87


def test_a_loader_gives_all_ways_the_same_batches() -> None:
    data = table(96)
    assert isinstance(data.inputs, Tensor)
    modules, settings = [perceptron(0), perceptron(1)], [Setting(rate=0.01)] * 2

    def run(way: Asked) -> Training:
        torch.manual_seed(3)  # the loader shuffles by the global stream
        loader = DataLoader(TensorDataset(data.inputs, data.target), 32, shuffle=True)
        return fit(modules, settings, way=way, data=loader)

    stacked, loop, rule = run("stacked"), run("loop"), run("rule")
    for other in (loop, rule):
        for one, two in zip(stacked.members, other.members, strict=True):
            torch.testing.assert_close(
                weights(one.module), weights(two.module), rtol=1e-3, atol=1e-4
            )

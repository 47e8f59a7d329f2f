from __future__ import annotations

import copy
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

import alnico
from alnico import progress
from alnico.errors import DataError, IncompatibleModelsError, RecipeError


class Volumes(nn.Module):
    """Every kind of batch norm, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.plane = nn.BatchNorm1d(2), nn.BatchNorm2d(2)
        self.space, self.shared = nn.BatchNorm3d(2, momentum=0.3), nn.SyncBatchNorm(2)
        self.bare = nn.BatchNorm1d(2, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:  # [n, 2, a, b, c]
        for norm in (self.space, self.shared):
            x = norm(x).tanh()
        x = self.plane(x.flatten(3)).tanh()
        out: Tensor = self.bare(self.flat(x.flatten(2)))
        return out


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def batches(n: int = 5, shape: tuple[int, ...] = (20, 3)) -> list[Tensor]:
    return [torch.randn(shape) * (i + 1) + i for i in range(n)]


def as_torch_does(model: nn.Module, data: list[Tensor]) -> dict[str, Tensor]:
    new = copy.deepcopy(model)
    update_bn(data, new)
    return new.state_dict()


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize(
    ("model", "shape"), [(network(), (20, 3)), (Volumes(), (6, 2, 3, 4, 5))], ids=["flat", "all"]
)
def test_it_says_what_torch_says(model: nn.Module, shape: tuple[int, ...]) -> None:
    data = batches(shape=shape)
    assert_equal(alnico.calibrate(model, data).state_dict(), as_torch_does(model, data))


def test_batches_of_one_size_give_the_mean_over_all_rows() -> None:
    data = batches()
    new = alnico.calibrate(nn.Sequential(nn.BatchNorm1d(3)), data)[0]
    torch.testing.assert_close(new.running_mean, torch.cat(data).mean(0))
    variances = torch.stack([batch.var(0) for batch in data])
    torch.testing.assert_close(new.running_var, variances.mean(0))
    assert new.num_batches_tracked == len(data)


def test_with_momentum_later_batches_weigh_more() -> None:
    data = batches(3)
    new = alnico.calibrate(nn.Sequential(nn.BatchNorm1d(3)), data, momentum=0.5)[0]
    mean = torch.zeros(3)
    for batch in data:
        mean = 0.5 * mean + 0.5 * batch.mean(0)
    torch.testing.assert_close(new.running_mean, mean)
    assert new.momentum == 0.1


def test_a_merge_of_two_networks_predicts_again(shared_data: Path) -> None:
    folder = shared_data / "mnist"
    images, labels = (
        gzip.decompress((folder / f"t10k-{name}-ubyte.gz").read_bytes())
        for name in ("images-idx3", "labels-idx1")
    )
    x = torch.frombuffer(bytearray(images[16 : 16 + 1500 * 784]), dtype=torch.uint8)
    x = x.view(1500, 784).float() / 255
    y = torch.frombuffer(bytearray(labels[8:1508]), dtype=torch.uint8).long()
    one, other = (trained(x[:1000], y[:1000], seed) for seed in (1, 2))
    model, pair = wide(), other.state_dict()
    model.load_state_dict({name: (t + pair[name]) / 2 for name, t in one.state_dict().items()})
    new = alnico.calibrate(model, [*x[:1000].split(250)])
    before, after = (accuracy(m, x[1000:], y[1000:]) for m in (model, new))
    assert after > before + 0.05, (before, after)


def wide() -> nn.Sequential:
    layers = [nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10)
    )


def trained(x: Tensor, y: Tensor, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    model = wide()
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(5):
        for rows in torch.randperm(len(x)).split(100):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return (model.eval()(x).argmax(1) == y).double().mean().item()


def test_the_model_stays_as_it_is_and_modes_are_put_back() -> None:
    model = nn.Sequential(network(), nn.Dropout(0.5), nn.BatchNorm1d(2).eval())
    before = copy.deepcopy(model.state_dict())
    new = alnico.calibrate(model, batches())
    assert_equal(model.state_dict(), before)
    assert [p.training for p in new.modules()] == [p.training for p in model.modules()]
    assert not torch.equal(new[2].running_mean, model[2].running_mean)
    assert all(p.requires_grad and p.grad is None for p in new.parameters())


def test_dropout_is_off_as_it_is_when_the_statistics_are_used() -> None:
    data = batches()
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(3)).train()
    found = alnico.calibrate(model, data)[1]
    torch.testing.assert_close(found.running_mean, torch.cat(data).mean(0))
    assert found.training and model[0].training


@pytest.mark.parametrize("form", ["tensors", "named", "pairs", "loader", "generator"])
def test_batches_come_in_any_form(form: str) -> None:
    class Named(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Tensor | dict[str, Tensor]) -> Tensor:
            out: Tensor = self.model(batch if isinstance(batch, Tensor) else batch["x"])
            return out

    model, data = Named(network()), batches()
    target = torch.zeros(20)

    def generate() -> Iterator[Tensor]:
        yield from data

    given = {
        "tensors": data,
        "named": [{"x": batch} for batch in data],
        "pairs": [(batch, "any target") for batch in data],
        "loader": DataLoader(TensorDataset(torch.cat(data), target.repeat(5)), batch_size=20),
        "generator": generate(),
    }
    expected = as_torch_does(model, data)
    assert_equal(alnico.calibrate(model, given[form]).state_dict(), expected)


def test_without_batch_norm_nothing_is_done_and_that_is_said() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    events: list[progress.Event] = []
    with progress.listen(events.append):
        new = alnico.calibrate(model, [])
    assert_equal(new.state_dict(), model.state_dict())
    assert new is not model
    assert [(e.what, e.phase.name) for e in events] == [("note", "calibrate")]
    assert events[0].phase.text == "nothing to do: Sequential has no batch norm statistics"


def test_a_layer_that_does_not_run_keeps_what_it_had() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
            self.idle.running_mean.fill_(7.0)
            self.idle.num_batches_tracked.fill_(4)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.used(x)
            return out

    events: list[progress.Event] = []
    with progress.listen(events.append):
        new = alnico.calibrate(Half(), batches())
    assert new.idle.running_mean.eq(7).all() and new.idle.num_batches_tracked == 4
    warned = [event.phase.text for event in events if event.what == "warning"]
    assert warned == ["batch norm layers that did not run keep their statistics: idle"]
    Half.forward = lambda self, x: x
    with pytest.raises(IncompatibleModelsError, match="none of the batch norm layers ran: used"):
        alnico.calibrate(Half(), batches())


def test_bad_batches_are_refused() -> None:
    model = network()
    with pytest.raises(DataError, match="there are no batches"):
        alnico.calibrate(model, [])
    for whole in (torch.randn(4, 3), {"x": torch.randn(4, 3)}, (torch.randn(4, 3), torch.zeros(4))):
        with pytest.raises(DataError, match="must be a loader or a list of batches, got a"):
            alnico.calibrate(model, whole)
    with pytest.raises(DataError, match=r"inputs of batch 1 must be a tensor .* got a str"):
        alnico.calibrate(model, [torch.randn(4, 3), "rows"])
    with pytest.raises(DataError, match="batch 1 is too small to have a variance"):
        alnico.calibrate(model, [torch.randn(4, 3), torch.randn(1, 3)])
    with pytest.raises(DataError, match=r"the statistics of '1' are not finite"):
        alnico.calibrate(model, [torch.full((4, 3), torch.nan)])


@pytest.mark.parametrize("momentum", [0.0, 1.5, 20, float("nan")])
def test_a_momentum_out_of_range_is_refused(momentum: float) -> None:
    with pytest.raises(RecipeError, match=r"momentum must lie in \(0, 1\], got"):
        alnico.calibrate(network(), batches(), momentum=momentum)


def test_an_error_of_the_model_itself_comes_through() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        alnico.calibrate(network(), [torch.randn(4, 9)])

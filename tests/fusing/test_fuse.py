from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from alnico.data.batches import Rows
from alnico.errors import DataError, IncompatibleModelsError, RecipeError, UnknownNameError
from alnico.fusing import Fused, fuse
from alnico.structures import Concat, Parts, Structure, structures
from alnico.training import Setting, train
from alnico.types import Task

LEARN, TEST = slice(800, None, 2), slice(801, None, 2)  # digits of one writer are neighbours


@pytest.fixture(scope="session")
def models(digits: tuple[Tensor, Tensor], strangers: list[nn.Module]) -> list[nn.Module]:
    """Two perceptrons that know the digits, and a CNN that learned from fewer."""
    x, y = (part[:300] for part in digits)
    torch.manual_seed(8)
    images = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2)]
    cnn = nn.Sequential(*images, nn.Flatten(), nn.Linear(54, 10))
    optimiser = torch.optim.Adam(cnn.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        F.cross_entropy(cnn(x), y).backward()
        optimiser.step()
    return [*strangers[:2], cnn]


def loss(module: nn.Module, digits: tuple[Tensor, Tensor]) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(module(digits[0][TEST]), digits[1][TEST]))


@pytest.mark.parametrize("structure", ["concat", "attention", "stacking"])
def test_without_data_the_fused_network_is_the_mean_of_the_logits(
    structure: str, models: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    x = digits[0][:50]
    mean = torch.stack([model(x) for model in models]).mean(0)
    torch.testing.assert_close(fuse(models, structure)(x), mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fuse(models, structure, example=x)(x), mean, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("structure", ["average", "selection"])
def test_without_data_an_average_is_that_of_the_probabilities(
    structure: str, models: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    x = digits[0][:50]
    mean = torch.stack([model(x).softmax(1) for model in models]).mean(0)
    torch.testing.assert_close(fuse(models, structure)(x).softmax(1), mean)


def test_one_output_is_a_number_and_numbers_are_averaged() -> None:
    models, x = (
        [nn.Linear(3, 1), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))],
        torch.randn(9, 3),
    )
    torch.testing.assert_close(fuse(models)(x), (models[0](x) + models[1](x)) / 2)


@pytest.mark.parametrize("structure", ["average", "selection", "stacking", "concat", "attention"])
def test_what_is_learned_from_data_beats_every_model_on_new_rows(
    structure: str, models: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    fused = fuse(models, structure, data=(digits[0][LEARN], digits[1][LEARN]))
    assert loss(fused, digits) < min(loss(model, digits) for model in models)


def test_it_is_what_the_structure_itself_learns(
    models: list[nn.Module], digits: tuple[Tensor, Tensor], task: Task
) -> None:
    x, y = (part[LEARN] for part in digits)
    fused = fuse(models, "concat", data=(x, y))
    heads = [model[:-1](x).detach() for model in models]
    logits = torch.stack([model(x).detach() for model in models])
    learned = Concat.learn(Parts(logits, tuple(heads)), y, task)
    assert fused.chosen == learned.members
    with torch.no_grad():
        torch.testing.assert_close(fused(x), learned(Parts(logits, tuple(heads))))


def test_data_in_other_forms_give_the_same_network(
    models: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    x, y = (part[LEARN] for part in digits)
    loader = DataLoader(TensorDataset(x, y.int()), batch_size=100)
    states = [fuse(models, "stacking", data=d).state_dict() for d in ((x, y), Rows(x, y), loader)]
    for state in states[1:]:
        assert all(map(torch.equal, states[0].values(), state.values()))


def test_a_model_that_knows_nothing_is_left_out_and_said_so(
    models: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    torch.manual_seed(0)
    wrong = nn.Sequential(nn.Linear(64, 10), nn.Hardtanh(-9, 9))
    everyone = [wrong, *models[:2]]
    fused = fuse(everyone, "attention", data=(digits[0][LEARN], digits[1][LEARN]))
    assert set(fused.chosen) == {1, 2} and len(fused.members) == 2
    first = fused.members[0].state_dict()
    assert all(map(torch.equal, first.values(), everyone[fused.chosen[0]].state_dict().values()))


def test_tapped_layers_are_what_is_joined(
    models: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    x, y = (part[LEARN] for part in digits)
    fused = fuse(models[:2], "concat", data=(x, y), taps="1")
    assert isinstance(fused.structure, Concat) and fused.structure.settings["widths"] == [24, 24]
    assert fused.taps == ("1", "1")
    each = fuse(models, "concat", taps=["0", None, "3"], example=x[:5])
    assert isinstance(each.structure, Concat)
    assert each.structure.settings["widths"] == [24, 24, 54]
    assert each(x).shape == (len(x), 10)
    assert loss(fused, digits) < loss(fuse(models[:2], "concat"), digits)


def test_numbers_are_learned_too() -> None:
    x = torch.randn(400, 3)
    y = x[:, 0] - 2 * x[:, 1]
    models = [nn.Linear(3, 1), nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))]
    fused = fuse(models, "concat", data=(x, y))
    new = torch.randn(200, 3)
    error = (fused(new)[:, 0] - new[:, 0] + 2 * new[:, 1]).square().mean()
    assert error < 0.05


def test_models_that_read_named_inputs_are_fused() -> None:
    class Reads(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name, self.head = name, nn.Linear(3, 2)

        def forward(self, batch: dict[str, Tensor]) -> Tensor:
            out: Tensor = self.head(batch[self.name])
            return out

    batch = {"a": torch.randn(100, 3), "b": torch.randn(100, 3)}
    y = (batch["a"][:, 0] + batch["b"][:, 1] > 0).long()
    fused = fuse([Reads("a"), Reads("b")], "concat", data=(batch, y))
    assert (fused(batch).argmax(1) == y).float().mean() > 0.9


def test_the_models_stay_as_they_are_and_the_whole_can_be_trained(
    models: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    x, y = (part[LEARN] for part in digits)
    before = copy.deepcopy([model.train() for model in models])
    fused = fuse(models, "concat")
    assert isinstance(fused, Fused) and not any(m.training for m in fused.modules())
    settings = [Setting("adam", 1e-3)]
    trained = train([fused], Rows(x, y), settings=settings, loss=F.cross_entropy, epochs=2)
    assert loss(trained.members[0].module, digits) < loss(fused, digits)
    for model, old in zip(models, before, strict=True):
        assert model.training
        assert all(map(torch.equal, model.state_dict().values(), old.state_dict().values()))
        model.eval()


def test_shapes_that_differ_are_named() -> None:
    models = [nn.Linear(4, 2), nn.Linear(4, 3), nn.Linear(4, 2)]
    message = r"model 1 gives \[n, 2\], model 2 gives \[n, 3\], model 3 gives \[n, 2\]"
    x, y = torch.randn(9, 4), torch.zeros(9).long()
    for given in ({}, {"example": x}, {"data": (x, y)}):
        with pytest.raises(IncompatibleModelsError, match=message):
            fuse(models, "concat", **given)


def test_faults_are_found_before_anything_is_computed() -> None:
    pair = [nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 2))]
    with pytest.raises(RecipeError, match="at least two models, got 1"):
        fuse(pair[:1])
    with pytest.raises(UnknownNameError, match=r"no structure 'concate'\n.*did you mean 'concat'"):
        fuse(pair, "concate")
    with pytest.raises(RecipeError, match="2 models need as many taps, got 3"):
        fuse(pair, "concat", taps=[None, None, None])
    with pytest.raises(UnknownNameError, match="Linear has no layer '0'"):
        fuse(pair, "concat", taps="0")
    with pytest.raises(IncompatibleModelsError, match="regression task of 1 outputs"):
        fuse(pair, task=Task("regression"))


def test_what_cannot_be_known_without_rows_is_asked_for() -> None:
    cnn = nn.Sequential(nn.Conv1d(2, 3, 2), nn.Flatten())
    with pytest.raises(RecipeError, match=r"cannot be read from the models\n.*give example="):
        fuse([cnn, cnn], "attention")
    with pytest.raises(RecipeError, match="give example="):
        fuse([nn.Sequential(nn.Linear(4, 2))] * 2, "concat", taps="0")
    fused = fuse([cnn, cnn], "attention", example=torch.randn(5, 2, 4))
    assert fused(torch.randn(3, 2, 4)).shape == (3, 9)
    with pytest.raises(DataError, match="the example has no rows"):
        fuse([cnn, cnn], example=torch.empty(0, 2, 4))


def test_a_structure_of_ones_own_that_needs_data_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Routed(Structure):
        name = "routed"

        def __init__(self, n_outputs: int, experts: int) -> None:
            super().__init__()

    monkeypatch.setitem(structures._things, "routed", Routed)
    with pytest.raises(RecipeError, match="'routed' cannot begin without data: it needs experts"):
        fuse([nn.Linear(4, 2), nn.Linear(4, 2)], "routed")


def test_data_that_do_not_fit_the_models_are_refused() -> None:
    models, x = [nn.Linear(4, 2), nn.Linear(4, 2)], torch.randn(9, 4)
    with pytest.raises(DataError, match="has the class 5"):
        fuse(models, data=(x, torch.full((9,), 5)))
    with pytest.raises(IncompatibleModelsError, match="regression task of 1 outputs"):
        fuse(models, data=(x, torch.rand(9)))
    nn.init.constant_(models[1].bias, torch.nan)
    with pytest.raises(IncompatibleModelsError, match="model 2 says NaN or infinite numbers of 9"):
        fuse(models, data=(x, torch.zeros(9).long()))

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import alnico
from alnico.data.table import read_table
from alnico.errors import DataError, IncompatibleModelsError, RecipeError
from alnico.fitting import Fitted, Options, fit_table, predictor, save_run
from alnico.fitting.earlier import read_earlier
from alnico.fitting.given import given_members, veterans
from alnico.fitting.prepare import Prepared, prepare

ASKED = Options("buys", positive="yes", architectures=("dcn",), optimisers=("adam",))
QUICK = Options(
    "buys",
    positive="yes",
    architectures=("dcn",),
    optimisers=("adam",),
    kinds=("average", "concat"),
    together=("apart",),
)


@pytest.fixture(scope="session")
def numbers(shop: pl.DataFrame) -> pl.DataFrame:
    """Two columns of numbers, none missing."""
    return shop[:200].select("visits", pl.col("age").fill_nan(40.0), "buys")


def learned(frame: pl.DataFrame, *, target: Tensor, n_outputs: int) -> nn.Sequential:
    """A network of the user's own, trained on the numbers as they are."""
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.BatchNorm1d(2), nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, n_outputs)
    )
    x = torch.from_numpy(frame.select("visits", "age").to_numpy().astype(np.float32))
    loss = F.cross_entropy if n_outputs > 1 else F.mse_loss
    optimiser = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(100):
        optimiser.zero_grad()
        loss(module(x), target).backward()
        optimiser.step()
    return module


@pytest.fixture(scope="session")
def mine(numbers: pl.DataFrame) -> nn.Sequential:
    target = torch.tensor((numbers["buys"] == "yes").to_list()).long()
    return learned(numbers, target=target, n_outputs=2)


@pytest.fixture(scope="session")
def prepared_raw(numbers: pl.DataFrame) -> Prepared:
    return prepare(read_table(numbers), ASKED, raw=True)


@pytest.fixture(scope="session")
def with_mine(numbers: pl.DataFrame, mine: nn.Sequential) -> Fitted:
    torch.set_num_threads(1)
    return fit_table(read_table(numbers), QUICK, members=[mine])


class Wrapped(nn.Module):
    """A class of the user's own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x)
        return out


def test_a_module_is_given_the_numbers_as_they_are_in_the_tables_order(
    prepared_raw: Prepared, numbers: pl.DataFrame
) -> None:
    seen: list[Tensor] = []

    class Spy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x)

    given_members([Spy(2, 2)], prepared_raw)
    wanted = numbers[prepared_raw.split.valid].select("visits", "age").to_numpy()
    np.testing.assert_array_equal(seen[0].numpy(), wanted.astype(np.float32))


def test_it_is_a_member_as_it_is_named_and_never_trained(prepared_raw, mine, numbers) -> None:
    group = given_members([mine, Wrapped(mine)], prepared_raw)
    assert [m.name for m in group.members] == ["given-0", "given-1"]
    assert len({m.family for m in group.members}) == 2  # no soup is made of them
    valid = numbers[prepared_raw.split.valid].select("visits", "age")
    x = torch.from_numpy(valid.to_numpy().astype(np.float32))
    with torch.no_grad():
        plain = mine.eval()(x)
    for member in group.members:
        torch.testing.assert_close(member.outputs.logits, plain)
        assert member.best_epoch == 0 and not member.history and member.stopped == "given"
        assert member.ema is member.swa is None


def test_what_the_user_does_with_a_module_later_changes_nothing_here(prepared_raw, mine) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    (member,) = given_members([module], prepared_raw).members
    assert module.training and module[1].training, "the user's module is left as it was"
    before = [p.clone() for p in member.net.module.parameters()]
    nn.init.zeros_(module[0].weight)
    after = list(member.net.module.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_it_stands_in_the_leaderboard_and_in_fusions(with_mine: Fitted) -> None:
    rows = {row.parts: row for row in with_mine.rows}
    assert rows["given-0"].kind == "single" and rows["given-0"].test_score is not None
    blind = rows["all 3 members"]
    assert blind.names == ("given-0", "dcn-0.0", "dcn-0.1")
    assert with_mine.groups[0].why == "given"


def test_a_plain_network_comes_back_from_a_run_folder_with_equal_predictions(
    with_mine: Fitted, numbers: pl.DataFrame, tmp_path: Path
) -> None:
    save_run(tmp_path / "run", with_mine)
    here = predictor(with_mine).predict_proba(numbers)
    assert (alnico.load(tmp_path / "run").predict_proba(numbers) == here).all()
    for number, row in enumerate(with_mine.rows, 1):
        said = alnico.load(tmp_path / "run", row=number).predict_proba(numbers)
        test = with_mine.prepared.split.test
        np.testing.assert_allclose(said[test], row.test_prediction, atol=1e-6)


def test_a_class_of_ones_own_predicts_in_memory_and_is_not_saved(
    numbers: pl.DataFrame, mine: nn.Sequential, with_mine: Fitted, tmp_path: Path
) -> None:
    fitted = fit_table(read_table(numbers), QUICK, members=[Wrapped(mine)])
    here, plain = (predictor(f).predict_proba(numbers) for f in (fitted, with_mine))
    assert (here == plain).all()
    with pytest.raises(
        RecipeError, match=r"given-0: a run folder holds no code(.|\n)*plain nn\.Sequential"
    ):
        save_run(tmp_path / "run", fitted)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.Linear(2, 3), r"member 1 says \[40, 3\] of 40 rows(.|\n)*\[40, 2\](.|\n)*no, yes"),
        (nn.Linear(2, 1), r"member 1 says \[40, 1\]"),
        (nn.Linear(5, 2), r"member 1 cannot read this table(.|\n)*given 2 numbers a row"),
        (nn.Sequential(nn.Linear(2, 2), nn.Flatten(0)), "member 1 "),
        (nn.Embedding(3, 2), "member 1 cannot read this table"),
    ],
    ids=["three classes", "one logit", "other columns", "no rows", "whole numbers"],
)
def test_a_module_that_does_not_fit_the_task_is_refused(prepared_raw, mine, module, text) -> None:
    with pytest.raises(IncompatibleModelsError, match=text):
        given_members([mine, module], prepared_raw)


def test_a_module_that_says_nan_is_refused(prepared_raw: Prepared) -> None:
    sick = nn.Linear(2, 2)
    nn.init.constant_(sick.weight, torch.nan)
    with pytest.raises(IncompatibleModelsError, match=r"NaN or infinity(.|\n)*same units"):
        given_members([sick], prepared_raw)


def test_categories_and_missing_numbers_are_named_with_the_way_out(shop: pl.DataFrame) -> None:
    asked = [
        (shop, r"these columns are none: country(.|\n)*drop="),
        (shop.drop("country"), r"some are missing: age(.|\n)*fill them"),
    ]
    for frame, text in asked:
        with pytest.raises(DataError, match=text):
            given_members([nn.Linear(2, 2)], prepare(read_table(frame), ASKED, raw=True))


def test_a_member_of_a_regression_speaks_in_the_targets_units(numbers: pl.DataFrame) -> None:
    paid = 300 + 5 * numbers["visits"] + pl.Series(np.random.default_rng(0).normal(0, 3, 200))
    frame = numbers.with_columns(buys=paid)
    prepared = prepare(read_table(frame), Options("buys"), raw=True)
    head = nn.Linear(2, 1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[5.0, 0.0]]))
        head.bias.fill_(300.0)
    (member,) = given_members([head], prepared).members
    said = member.outputs.logits[:, 0] * prepared.task.scale + prepared.task.center
    truth = prepared.target[prepared.split.valid]
    assert np.abs(said.numpy() - truth).mean() < 4
    with pytest.raises(IncompatibleModelsError, match=r"\n  help: give one value a row, as \[n, 1"):
        given_members([nn.Linear(2, 2)], prepared)


def test_members_of_an_earlier_run_speak_of_this_table(run: Path, small, searched) -> None:
    earlier = read_earlier(run)
    asked = Options("buys", start_from=str(run), seed=1)
    prepared = prepare(read_table(small), asked, earlier=earlier)
    group = veterans(earlier, prepared)
    assert [m.name for m in group.members] == [v.name for v in earlier.members]
    assert len({m.family for m in group.members}) == len(group.members)
    assert group.why == f"of {run}" and group.seconds == 0
    for member, was in zip(group.members, searched.members, strict=True):
        with torch.no_grad():
            said = was.net.module.eval()(prepared.valid.inputs)
        torch.testing.assert_close(member.outputs.logits, said)
        assert member.setting == was.setting and member.stopped == "given"

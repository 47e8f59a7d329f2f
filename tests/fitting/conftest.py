"""A small invented shop, and what fitting makes of it; made once, read by many tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from alnico.data.table import read_table
from alnico.fitting import Bench, Fitted, Options, fit_table, save_run
from alnico.fitting.members import TrainedGroup, train_group
from alnico.fitting.plan import Group
from alnico.fitting.prepare import Prepared, prepare
from alnico.networks import Architecture
from alnico.training import Setting

OPTIONS = Options(target="buys", positive="yes", architectures=("mlp",))


def invent(n: int, seed: int) -> pl.DataFrame:
    """Customers: whether one buys follows from numbers, a country, and words, beside noise."""
    draw = np.random.default_rng(seed)
    visits, age = draw.gamma(2.0, 3.0, n), draw.normal(40, 12, n)
    country = draw.choice(["de", "fr", "it"], n)
    glad = draw.random(n) < 0.5
    logit = 0.8 * np.sin(visits) + 0.05 * (age - 40) + (country == "it") + 1.5 * glad - 1
    words = [
        " ".join(draw.permutation(["great" if g else "poor", *draw.choice(["cotton", "fit"], 4)]))
        for g in glad
    ]
    return pl.DataFrame(
        {
            "visits": visits,
            "age": np.where(draw.random(n) < 0.1, None, age.round(1)).astype(float),
            "country": country,
            "words": words,
            "spent": np.exp(0.3 * logit + draw.normal(3, 0.3, n)),
            "buys": np.where(draw.random(n) < 1 / (1 + np.exp(-logit)), "yes", "no"),
        }
    )


@pytest.fixture(scope="session")
def shop() -> pl.DataFrame:
    return invent(500, seed=1).drop("words", "spent")


@pytest.fixture(scope="session")
def reviewed() -> pl.DataFrame:
    return invent(500, seed=2).drop("spent")


@pytest.fixture(scope="session")
def prepared(shop: pl.DataFrame) -> Prepared:
    return prepare(read_table(shop), OPTIONS)


@pytest.fixture(scope="session")
def group() -> Group:
    """One from a start of its own, three of one family."""
    optimisers = ("adamw", "adam", "adam", "sgd")
    return Group(
        name="mlp-0",
        architecture=Architecture("mlp", depth=1, width=16, dropout=0.1),
        settings=tuple(Setting(name, 1e-2, seed=i) for i, name in enumerate(optimisers)),
        starts=(0, 1, 1, 1),
        epochs=24,
        patience=4,
        batch_size=64,
    )


@pytest.fixture(scope="session")
def trained(prepared: Prepared, group: Group) -> TrainedGroup:
    torch.set_num_threads(1)
    return train_group(
        group,
        prepared.train,
        prepared.valid,
        inputs=prepared.encoder.inputs,
        task=prepared.task,
        way="loop",
    )


@pytest.fixture(scope="session")
def bench(prepared: Prepared, trained: TrainedGroup) -> Bench:
    return Bench(
        trained.members,
        prepared.train,
        prepared.valid,
        prepared.folds,
        prepared.encoder.inputs,
        prepared.task,
        prepared.metric,
        prepared.encoder.columns,
    )


@pytest.fixture(scope="session")
def fitted(shop: pl.DataFrame) -> Fitted:
    """A whole run on the shop, with every kind of row."""
    torch.set_num_threads(1)
    return fit_table(read_table(shop), OPTIONS)


@pytest.fixture(scope="session")
def small(shop: pl.DataFrame) -> pl.DataFrame:
    """Rows enough for a run of many groups that takes a second."""
    return shop[:200]


@pytest.fixture(scope="session")
def searching() -> Options:
    """A search of two families: one scheme of each sort, and the fusions that are taught from."""
    return replace(
        OPTIONS,
        optimisers=("adamw",),
        kinds=("average", "stacking", "distilled"),
        together=("apart", "shared"),
        trials=2,
    )


@pytest.fixture(scope="session")
def searched(small: pl.DataFrame, searching: Options) -> Fitted:
    torch.set_num_threads(1)
    return fit_table(read_table(small), searching)


@pytest.fixture(scope="session")
def run(searched: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the search."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    save_run(folder, searched)
    return folder


@pytest.fixture(scope="session")
def alike() -> Callable[[Fitted, Fitted], bool]:
    """Whether two runs ended alike, in all but what the clock says."""

    def told(fitted: Fitted) -> list[object]:
        rows = [(r.kind, r.parts, r.valid_score, r.test_score, r.skipped) for r in fitted.rows]
        trials = [
            (name, t.number, t.params, t.state, t.value, t.why)
            for name, study in fitted.studies.items()
            for t in study.trials
        ]
        return [rows, trials, fitted.predicts, fitted.verdict]

    def same(one: Fitted, other: Fitted) -> bool:
        assert told(one) == told(other)
        return all(
            np.array_equal(a.test_prediction, b.test_prediction)
            for a, b in zip(one.rows, other.rows, strict=True)
        )

    return same

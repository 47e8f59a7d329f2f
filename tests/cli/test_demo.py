from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from alnico import progress
from alnico.cli import demo
from alnico.data.demo import DemoTable
from alnico.errors import MissingExtraError
from alnico.fitting import Options
from alnico.fitting.predicts import Predicts


@pytest.fixture
def shop(frame: pl.DataFrame) -> DemoTable:
    """A shop in which the rating gives the answer away."""
    return DemoTable(
        name="clothing",
        frame=frame.with_columns(rating=(pl.col("buys") == "yes") * 4 + 1),
        target="buys",
        drop=("rating",),
        time_column=None,
        source="package shops 1.2; its licence, as its metadata says: MIT",
        what="Who buys?",
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, shop: DemoTable) -> None:
    """The demo with this shop, one architecture and few kinds."""
    quick = {"architectures": ("mlp",), "kinds": ("average",), "together": ("apart",)}
    options = functools.partial(Options, **quick)
    monkeypatch.setattr("alnico.fitting.Options", options)
    monkeypatch.setattr("alnico.data.demo.clothing", lambda: shop)


@pytest.mark.usefixtures("quick")
def test_it_tells_source_licence_leak_result_and_worth(command: Callable, tmp_path: Path) -> None:
    done = command("demo", "clothing", "-o", tmp_path / "deep" / "demo")
    assert done.code == 0, done.err
    said = " ".join(done.err.split())
    assert "clothing: Who buys? Data: package shops 1.2; its licence, as its metadata" in said
    assert "'rating' gives 'buys' away by itself (AUC 1.000): it is dropped" in said
    assert "rating (as asked)" in said
    out = " ".join(done.out.split())
    told = (
        r"Fusing (paid|did not pay).* Row 1, \w+, predicts: .* For the shop: of the customers who"
    )
    assert re.search(told, out)
    run = tmp_path / "deep" / "demo" / "clothing"
    assert f"The run folder: {run}" in done.out
    assert f"alnico report {run} " in done.err and f"alnico leaderboard {run} --all" in done.err
    assert command("leaderboard", run).out in done.out
    short = [line for line in (done.out + done.err).splitlines() if str(tmp_path) not in line]
    assert max(map(len, short)) <= 84


@pytest.mark.usefixtures("quick")
def test_it_may_be_run_again_and_quietly(command: Callable, tmp_path: Path) -> None:
    for _ in range(2):
        done = command("demo", "clothing", "-o", tmp_path, "-q")
        assert (done.code, done.err) == (0, "") and "The run folder: " in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["clothing"]


def test_an_unknown_shop_is_refused(refused: Callable) -> None:
    assert "no demo 'purchase'\n  help: did you mean 'purchases'?" in refused("demo", "purchase")


def test_a_shop_whose_package_is_not_installed_is_refused(
    refused: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing() -> DemoTable:
        raise MissingExtraError("the demo reads a file", help="pip install --no-deps lifetimes")

    monkeypatch.setattr("alnico.data.demo.purchases", missing)
    message = refused("demo", "purchases", "-o", tmp_path / "demo")
    assert "help: pip install --no-deps lifetimes" in message


def test_only_what_gives_the_target_away_is_named(shop: DemoTable) -> None:
    events: list[progress.Event] = []
    with progress.listen(events.append):
        demo._name_leaks(shop)
    assert [event.phase.text for event in events if event.phase.name == "leak"] == [
        "'rating' gives 'buys' away by itself (AUC 1.000): it is dropped"
    ]


@pytest.mark.parametrize("rare", [0, 1])
def test_the_worth_counts_the_rare_class_in_the_tenth_ranked_highest(
    rare: int, shop: DemoTable
) -> None:
    target = np.full(200, 1 - rare)
    target[:40] = rare
    chances = np.linspace(0.9, 0.1, 200)
    chances[:5] = 0.0  # five of the forty are ranked last
    both = np.stack([chances, 1 - chances] if rare == 0 else [1 - chances, chances], 1)
    prepared = SimpleNamespace(target=target, split=SimpleNamespace(test=np.arange(200)))
    rows = [SimpleNamespace(test_prediction=1 - both), SimpleNamespace(test_prediction=both)]
    fitted = SimpleNamespace(rows=rows, predicts=Predicts(2, "It was chosen."), prepared=prepared)
    said = demo._worth(shop, fitted)
    assert "50% are found in the tenth" in said and "(20 rows)" in said

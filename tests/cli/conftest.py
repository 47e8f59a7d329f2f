"""A shop's small table, a run fitted on it once, and the command line, called in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from alnico.cli.app import main

QUICK = ("--architecture", "mlp", "--kind", "soup_uniform")


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


def shop(n_rows: int = 240) -> pl.DataFrame:
    """Customers: numbers, a category, a boolean and a date-time, some missing; who buys?"""
    draw = np.random.default_rng(0)
    visits = draw.poisson(4, n_rows)
    spent = np.round(draw.exponential(30, n_rows), 2)
    country = draw.choice(["de", "fr", "it"], n_rows, p=[0.5, 0.3, 0.2])
    day = draw.integers(0, 300, n_rows)
    since = (np.datetime64("2024-01-01T08:30") + day * np.timedelta64(1, "D")).astype(str)
    score = 0.5 * (visits - 4) + (country == "de") + draw.normal(size=n_rows)
    return pl.DataFrame(
        {
            "visits": visits,
            "spent": [None if i % 17 == 3 else value for i, value in enumerate(spent.tolist())],
            "country": [None if i % 19 == 5 else name for i, name in enumerate(country.tolist())],
            "member": draw.random(n_rows) < 0.4,
            "since": since.tolist(),
            "buys": np.where(score > 0.5, "yes", "no"),
        }
    )


@pytest.fixture(scope="session")
def frame() -> pl.DataFrame:
    return shop()


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory, frame: pl.DataFrame) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.csv"
    frame.write_csv(path)
    return path


@pytest.fixture(scope="session")
def finished(table: Path) -> Path:
    """A finished run with a row of every kind; nobody may change it."""
    torch.set_num_threads(1)
    run = table.parent / "run"
    words = ["--target", "buys", "--architecture", "mlp", "-o", str(run), "--quiet"]
    assert main(["fit", str(table), *words]) == 0
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be spoiled."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call `alnico` with some words."""

    def call(*words: object) -> Done:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def fit(command: Callable[..., Done], table: Path) -> Callable[..., Done]:
    """Call `alnico fit` on the shop's table, or another, for a quick run."""

    def call(*words: object, source: Path = table, target: str = "buys") -> Done:
        return command("fit", source, "--target", target, *QUICK, *words)

    return call


@pytest.fixture
def refused(command: Callable[..., Done], tmp_path: Path) -> Callable[..., str]:
    """Call `alnico`, see that it refuses with one block and changes no file; gives the block."""

    def call(*words: object, code: int = 2) -> str:
        before = _files(tmp_path)
        done = command(*words)
        assert done.code == code, done.err
        assert done.out == "" and done.err.count("error[") == 1
        assert _files(tmp_path) == before, "a refused command changed files"
        block = done.err[done.err.index("error[") :]
        assert "\n  help: " in block and "Traceback" not in done.err
        return block

    return call


def _files(folder: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}

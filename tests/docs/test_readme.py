"""The README's code runs, and its commands are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from alnico.checkpoint.writer import write_tensors
from alnico.cli.app import main

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random = np.random.default_rng(0)
    visits, age = random.poisson(3, 400), random.integers(18, 80, 400)
    buys = random.random(400) < 1 / (1 + np.exp(2 - 0.7 * visits))
    frame = pl.DataFrame({"visits": visits, "age": age, "buys": buys})
    frame.write_csv(tmp_path / "shop.csv")
    frame.write_csv(tmp_path / "labelled.csv")
    frame.drop("buys").write_csv(tmp_path / "new.csv")
    for name in "abc":
        write_tensors(tmp_path / f"{name}.safetensors", {"weight": torch.randn(8, 3)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_python_of_the_readme_runs(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    quick = code.replace('time_limit="5m"', 'time_limit="8s"')
    assert quick != code
    exec(compile(quick, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "single" in printed and "log_loss" in printed
    assert (shop / "run" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_commands_of_the_readme_run(shop: Path) -> None:
    del shop
    lines = [line[2:] for block in blocks("console") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("alnico ")]
    assert [shlex.split(command)[1] for command in commands] == [
        "fit",
        "report",
        "leaderboard",
        "predict",
        "evaluate",
        "merge",
        "methods",
        "scan",
    ]
    for command in commands:
        assert main(shlex.split(command.replace("5m", "8s"))[1:]) == 0

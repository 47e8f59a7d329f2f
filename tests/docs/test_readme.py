"""The README's code runs, its commands are commands; pages point at what is there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from docs.shown import ROOT, blocks, commands

from alnico.checkpoint.writer import write_tensors
from alnico.cli.app import main

README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
RECIPE = "alnico: 1\nmodels: [a.safetensors, b.safetensors]\nsteps: [{merge: {method: linear}}]\n"


@pytest.fixture
def shop(here: Path) -> Path:
    random = np.random.default_rng(0)
    visits, age = random.poisson(3, 400), random.integers(18, 80, 400)
    buys = random.random(400) < 1 / (1 + np.exp(2 - 0.7 * visits))
    frame = pl.DataFrame({"visits": visits, "age": age, "buys": buys})
    frame.write_csv(here / "shop.csv")
    frame.write_csv(here / "labelled.csv")
    frame.drop("buys").write_csv(here / "new.csv")
    for name in "abc":
        write_tensors(here / f"{name}.safetensors", {"weight": torch.randn(8, 3)})
    (here / "recipe.yml").write_text(RECIPE)
    return here


@pytest.mark.slow
def test_the_python_of_the_readme_runs(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [block.text for block in blocks(README) if block.language == "python"]
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
    consoles = [block.text for block in blocks(README) if block.language == "console"]
    shown = [command.words for console in consoles for command in commands(console)]
    verbs = [words[1] for words in shown if words[0] == "alnico"]
    assert verbs == [
        *("fit", "report", "leaderboard", "predict", "evaluate"),
        *("merge", "plan", "run", "methods", "scan"),
    ]
    for words in shown:
        if words[0] == "alnico":
            assert main([word.replace("5m", "8s") for word in words[1:]]) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_points_at_what_is_there(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name} points at {target}"

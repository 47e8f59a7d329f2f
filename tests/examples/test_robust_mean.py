from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.stats import trim_mean

from alnico.checkpoint.reader import read_tensors
from alnico.checkpoint.writer import write_tensors
from alnico.cli.app import main
from alnico.merging import load_plugin
from alnico.merging.steps import Form, Input, Step
from alnico.merging.stream import is_streamable
from alnico.methods import Method, methods
from alnico.testing import check_method

EXAMPLE = Path(__file__).parents[2] / "examples" / "robust_mean.py"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Method:
    monkeypatch.setattr(methods, "_things", dict(methods._things))
    (found,) = load_plugin(EXAMPLE)
    return found


def test_a_method_of_ones_own_takes_25_lines_and_keeps_the_contract(made: Method) -> None:
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 25
    assert made.name == "robust_mean" and made.sees == "deltas"
    check_method("robust_mean")


@pytest.mark.parametrize("k", [3, 4, 7])
def test_it_is_the_trimmed_mean_of_scipy(made: Method, k: int) -> None:
    deltas = torch.randn(k, 5, 8, dtype=torch.float64)
    expected = trim_mean(deltas.numpy(), 1 / k + 1e-9, axis=0)
    torch.testing.assert_close(made(deltas, scale=0.5), torch.from_numpy(expected) * 0.5)


def test_one_spoilt_model_takes_it_nowhere(made: Method) -> None:
    honest = torch.randn(4, 50)
    spoilt = made(torch.cat([honest, torch.full((1, 50), 1e6)]))
    assert bool((spoilt <= honest.max(0).values).all())
    assert bool((spoilt >= honest.min(0).values).all())


def test_it_is_streamed_and_the_command_finds_it(
    made: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = Form("BF16", (4, 6))
    inputs = tuple(Input(i, "x") for i in range(3))
    step = Step("x", form, "merge", inputs, Input(3, "x"), made)
    assert is_streamable(step, {"BF16": None})
    monkeypatch.chdir(tmp_path)
    models = {name: {"x": torch.randn(4, 6)} for name in ("a", "b", "c", "base")}
    for name, tensors in models.items():
        write_tensors(Path(f"{name}.safetensors"), tensors)
    files = [f"{name}.safetensors" for name in "abc"]
    plugin = ["--plugin", str(EXAMPLE), "--method", "robust_mean", "--scale", "1"]
    words = ["merge", *files, "--base", "base.safetensors", *plugin, "-o", "out.safetensors", "-q"]
    assert main(words) == 0
    found = read_tensors(Path("out.safetensors"))["x"]
    middle = torch.stack([models[name]["x"] for name in "abc"]).median(0).values
    torch.testing.assert_close(found, middle)

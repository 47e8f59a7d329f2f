"""`--eval`: the user's own function, called with every model, and the table of what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

SCORES = """\
import numpy as np
from safetensors.numpy import load_file
from sklearn.datasets import load_digits

images, labels = load_digits(return_X_y=True)
GROUPS = {"low": range(0, 5), "high": range(5, 10)}

def score(model):
    file = model / "model.safetensors" if model.is_dir() else model
    found = load_file(file)
    given = (images[1::2] @ found["weight"].T + found["bias"]).argmax(1)
    true = labels[1::2]
    return {
        name: float((given == true)[np.isin(true, list(group))].mean())
        for name, group in GROUPS.items()
    }

def broken(model):
    if model.name.startswith("out"):
        raise RuntimeError("out of luck")
    return 1

def nan(model):
    return float("nan")

def stopped(model):
    raise KeyboardInterrupt
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classifiers of digits; `low` and `high` have seen much of their half of the classes."""
    folder = tmp_path_factory.mktemp("digits")
    images, labels = load_digits(return_X_y=True)
    images, labels = images[::2], labels[::2]
    order = np.random.default_rng(0).permutation(len(labels))
    is_low = labels[order] < 5
    few = np.arange(len(order)) < 60
    for name, seen in {"base": few, "low": few | is_low, "high": few | ~is_low}.items():
        fitted = LogisticRegression(C=1e-4, max_iter=2000).fit(
            *(a[order][seen] for a in (images, labels))
        )
        tensors = {"weight": fitted.coef_, "bias": fitted.intercept_}
        save_file(
            {key: np.float32(value) for key, value in tensors.items()},
            folder / f"{name}.safetensors",
        )
    return folder


@pytest.fixture
def digits(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, which one is in, of these models and functions that score them."""
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "scores.py").write_text(SCORES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


MERGE = ("merge", "low.safetensors", "high.safetensors", "-o", "out.safetensors")
TIES = ("--base", "base.safetensors", "--method", "ties", "--density", "0.5")


def accuracy(weight: np.ndarray, bias: np.ndarray) -> list[float]:
    images, labels = load_digits(return_X_y=True)
    right = (images[1::2] @ weight.T + bias).argmax(1) == labels[1::2]
    return [float(right[labels[1::2] < 5].mean()), float(right[labels[1::2] >= 5].mean())]


def test_the_table_is_what_numpy_makes_of_the_same_models(digits: Path, command: Callable) -> None:
    done = command(*MERGE, *TIES, "--eval", "scores.py:score")
    assert done.code == 0, done.err
    names = ("base", "low", "high", "out")
    models = {name: load_file(f"{name}.safetensors") for name in names}
    pair = (models["low"], models["high"])
    models["average"] = {key: (pair[0][key] + pair[1][key]) / 2 for key in pair[0]}
    found = {name: accuracy(model["weight"], model["bias"]) for name, model in models.items()}
    assert found["low"][0] > found["low"][1] and found["high"][1] > found["high"][0]
    best = np.array([found["low"], found["high"]]).max(0)
    heads, _, *lines = [line.split() for line in done.out.splitlines()]
    assert heads == ["model", "low", "high", "mean", "of", "best", "parts"]
    assert [line[0] for line in lines] == ["base", "low", "high", "average", "out"]
    for name, *cells in lines:
        shown = [*found[name], np.mean(found[name])]
        assert cells[:3] == [f"{value:.4f}" for value in shown]
        share = 100 * np.mean(found[name] / best)
        assert cells[3:] == ([f"{share:.1f}", "%"] if name in ("average", "out") else [])
    assert done.err.splitlines()[-1].startswith("out.safetensors holds the model")
    noted = json.loads(Path("out.run.json").read_text())["scores"]
    assert noted["function"] == "scores.py:score" and len(noted["rows"]) == 5


def test_a_recipe_is_scored_like_flags_and_quiet_leaves_the_table(
    digits: Path, command: Callable
) -> None:
    Path("own.yml").write_text(
        "alnico: 1\nmodels: [low.safetensors, high.safetensors]\nbase: base.safetensors\n"
        "steps: [{merge: {method: ties, density: 0.5}}]\n"
    )
    flags = command(*MERGE, *TIES, "--eval", "scores.py:score", "-q")
    recipe = command("run", "own.yml", "-o", "own", "--eval", "scores.py:score", "-q")
    assert (flags.err, recipe.err) == ("", "")
    last = len(flags.out.splitlines()[-1])
    assert recipe.out.splitlines()[:-1] == flags.out.splitlines()[:-1]
    assert recipe.out.splitlines()[-1][8:last] == flags.out.splitlines()[-1][8:last]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", "scores.py:20: RuntimeError: out of luck\n  help: broken raised it on out.saf"),
        ("nan", "nan of low gave nan\n  help: give a finite number"),
    ],
)
def test_a_merge_is_kept_whatever_its_score_does(
    name: str, said: str, digits: Path, command: Callable
) -> None:
    done = command(*MERGE, "--method", "slerp", "--eval", f"scores.py:{name}", "-q")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("out.safetensors holds the model, out.run.json how it was made.\n")
    assert said in done.err
    assert command("diff", "out.safetensors", "low.safetensors").code == 0
    assert "scores" not in json.loads(Path("out.run.json").read_text())
    assert not list(digits.glob(".*"))


def test_an_interrupted_score_leaves_the_merge_and_nothing_else(
    digits: Path, command: Callable
) -> None:
    done = command(*MERGE, "--method", "slerp", "--eval", "scores.py:stopped")
    assert done.code == 130
    assert done.err.splitlines()[-1] == "interrupted" and "--resume" not in done.err
    assert Path("out.safetensors").is_file() and not list(digits.glob(".*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("scores.py:scroe", "scores.py has no function 'scroe'\n  help: did you mean 'score'?"),
        ("scores.py", "'scores.py' names no function of a file\n  help: write FILE.py:FUNCTION"),
        ("none.py:score", "none.py"),
    ],
)
def test_what_cannot_score_is_refused_before_the_merge(
    words: str, said: str, digits: Path, refused: Callable
) -> None:
    assert said in refused(*MERGE, "--eval", words)

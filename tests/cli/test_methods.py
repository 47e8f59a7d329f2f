from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.methods import methods

PLUGIN = '''
from typing import Annotated, Literal
import alnico
from torch import Tensor

@alnico.method(models=3)
def odd(
    vectors: Tensor,
    rounds: Annotated[int, alnico.Range(1, 5)] = 2,
    share: Annotated[Tensor, alnico.Range(0, 1)] = alnico.per_model(0.5),
    signed: bool = True,
    mode: str = "low",
    norm: Literal["one", "two", "many"] = "one",
) -> Tensor:
    """Do something else."""
    return vectors.sum(0)
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(methods, "_things", dict(methods._things))
    path = tmp_path / "own.py"
    path.write_text(PLUGIN)
    return path


def test_all_are_listed_with_what_they_are_for_and_need(command: Callable) -> None:
    done = command("methods")
    title, _, *rows, last = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert title.split() == ["method", "what", "it", "is", "for", "needs"]
    assert [row.split()[0] for row in rows] == list(methods)
    for row, method in zip(rows, methods.values(), strict=True):
        assert method.summary in row, "the summary is too long for the list"
        assert row.endswith("  a base") == method.needs_base
    assert last == "One method: alnico methods NAME"
    assert max(map(len, done.out.splitlines())) <= 84


def test_one_is_shown_with_its_parameters(command: Callable) -> None:
    assert command("methods", "ties").out == (
        "ties     Average changes without letting opposite signs cancel.\n"
        "  --weight      1.0     one number, or one per model\n"
        "  --density     0.2     one number, or one per model, 0 to 1\n"
        "  --scale       1.0     a number\n"
        "  --normalize   models  models, weights or none\n"
        "  --rescale     none    none or l1\n"
        "  needs --base.  Paper: https://arxiv.org/abs/2306.01708\n"
    )
    assert "  merges 2 models.  Paper: https://dl.acm.org" in command("methods", "slerp").out
    assert "  --normalize   true   true or false\n" in command("methods", "linear").out
    stock = "  needs --base.  merges 2 or more models.  Paper: https://arxiv.org/abs/2403.19522\n"
    assert command("methods", "model_stock").out.endswith(stock)
    assert "  --tolerance   1e-05  0 or more\n" in command("methods", "karcher").out
    assert "  needs --base.  merges 1 model.  Paper" in command("methods", "arcee_fusion").out


def test_one_of_ones_own_is_shown_like_the_others(plugin: Path, command: Callable) -> None:
    assert command("methods", "odd", "--plugin", plugin).out == (
        "odd      Do something else.\n"
        "  --rounds   2      a whole number, 1 to 5\n"
        "  --share    0.5    one number, or one per model, 0 to 1\n"
        "  --signed   true   true or false\n"
        "  --mode     low    a text\n"
        "  --norm     one    one, two or many\n"
        "  takes a --base, or none.  merges 3 models.\n"
    )
    assert "\nodd " in command("methods").out


def test_json_holds_all_that_is_known(command: Callable) -> None:
    listed = json.loads(command("methods", "--json").out)
    assert [record["name"] for record in listed] == list(methods)
    ties = json.loads(command("methods", "ties", "--json").out)
    assert ties in listed
    assert (ties["needs_base"], ties["models"], ties["symmetric"]) == (True, None, True)
    assert (ties["takes_base"], ties["at_least"]) == (True, 1)
    assert ties["parameters"][3]["choices"] == ["models", "weights", "none"]
    nearswap = json.loads(command("methods", "nearswap", "--json").out)
    assert (nearswap["parameters"][0]["low"], nearswap["parameters"][0]["high"]) == (0.0, None)
    assert ties["parameters"][:2] == [
        {
            "name": "weight",
            "default": 1.0,
            "type": "float",
            "low": None,
            "high": None,
            "per_model": True,
            "choices": [],
        },
        {
            "name": "density",
            "default": 0.2,
            "type": "float",
            "low": 0.0,
            "high": 1.0,
            "per_model": True,
            "choices": [],
        },
    ]


def test_an_unknown_one_is_suggested_and_a_faulty_file_told(
    refused: Callable, tmp_path: Path
) -> None:
    assert "no merge method 'tise'\n  help: did you mean 'ties'?" in refused("methods", "tise")
    assert "there is no plug-in" in refused("methods", "--plugin", tmp_path / "none.py")


def test_it_needs_no_torch() -> None:
    code = "import sys; from alnico.cli.app import main; assert main(['methods', 'ties']) == 0; "
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

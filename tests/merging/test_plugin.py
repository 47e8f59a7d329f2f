from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from alnico.errors import RecipeError
from alnico.merging import load_plugin, merge
from alnico.merging.plugin import file_of
from alnico.methods import methods
from alnico.testing import check_method

pytestmark = pytest.mark.usefixtures("own_registry")

CRUMBS = '''\
from __future__ import annotations                      # a method needs no torch to be read

from typing import TYPE_CHECKING

import alnico
from alnico.tensors import sparsify

if TYPE_CHECKING:
    from torch import Tensor


@alnico.method(paper="https://arxiv.org/abs/2312.06795", symmetric=True)
def crumbs(
    deltas: Tensor,
    weight: Tensor = alnico.per_model(1.0),
    density: alnico.Fraction = 0.9,
    outliers: alnico.Fraction = 0.01,
) -> Tensor:
    """Drop the largest changes and the small ones, keep the share `density`, add up.

    deltas: [k, ...], weight: [k, 1, ...] -> [...]
    """
    kept = sparsify.keep_largest(deltas, density + outliers)
    kept = kept - sparsify.keep_largest(deltas, outliers)
    return (kept * weight).sum(0)
'''
TOP = "import alnico\nfrom torch import Tensor\n\n@alnico.method()\n"
TEN = (
    TOP + 'def ten(weights: Tensor) -> Tensor:\n    """Be ten."""\n    return weights[0] * 0 + {}\n'
)


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str, name: str = "own.py") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def test_a_method_in_25_lines_works_like_those_that_are_brought_along(plugin: Callable) -> None:
    (found,) = load_plugin(plugin(CRUMBS))
    assert CRUMBS.count("\n") <= 25 and found is methods["crumbs"]
    base, a, b = ({"x": torch.randn(10, 10)} for _ in range(3))
    merged = merge([a, b], "crumbs", base=base, outliers=0.05, density=0.45)
    kept = 0
    for delta in ((a["x"] - base["x"]).flatten(), (b["x"] - base["x"]).flatten()):
        order = delta.abs().argsort(descending=True)
        kept += torch.zeros(100).scatter(0, order[5:50], delta[order[5:50]])
    torch.testing.assert_close(merged["x"], base["x"] + kept.reshape(10, 10))
    with pytest.raises(
        RecipeError, match="no parameter 'outlier'\n  help: did you mean 'outliers'"
    ):
        merge([a, b], "crumbs", base=base, outlier=0.05)


def test_the_contract_can_be_checked_on_it(plugin: Callable) -> None:
    check_method(load_plugin(plugin(CRUMBS))[0])


def test_a_file_may_be_loaded_again_and_be_changed_meanwhile(plugin: Callable) -> None:
    for value in (10, 10, 11):
        (found,) = load_plugin(str(plugin(TEN.format(value))))
        assert found is methods["ten"]
        assert merge([{"x": torch.ones(2)}], "ten")["x"].tolist() == [value] * 2


def test_all_its_methods_are_given_in_order(plugin: Callable) -> None:
    text = TEN.format(1) + TEN.replace("ten", "eleven").format(2).removeprefix("import alnico\n")
    assert [method.name for method in load_plugin(plugin(text))] == ["ten", "eleven"]


def test_a_dataclass_in_it_finds_its_module(plugin: Callable) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + TEN.format(1)
    made = load_plugin(plugin(text + "\n@dataclass\nclass Own:\n    x: int = 1\n"))
    assert [method.name for method in made] == ["ten"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = 1\ndef f(:\n", r"own\.py:2: invalid syntax\n  def f\(:\n  help: correct the syntax"),
        ("x = '\xff\n", r"own\.py:1: unterminated string literal"),
        ("x = 1\x00", r"own\.py.*null bytes"),
        ("\n1 / 0\n", r"own\.py:2: ZeroDivisionError: division by zero\n  help: it was raised"),
        ("def f():\n    raise KeyError\nf()", r"own\.py:2: KeyError\n"),
        ("import sys\nsys.exit()", r"own\.py:2: SystemExit"),
        ("import no_such_thing", r"own\.py:1: ModuleNotFoundError: No module named 'no_such"),
        ("x = 1", r"own\.py registers no merge method\n  help: decorate"),
        (
            TOP + 'def own(weights: Tensor, scale: float) -> Tensor:\n    """Own."""\n',
            r"own\.py:4: own: scale has no default\n  help: each parameter needs one",
        ),
        (
            TOP + 'def linear(weights: Tensor) -> Tensor:\n    """Own."""\n',
            r"own\.py:4: two merge methods are named 'linear'\n  help: rename one",
        ),
        (
            TOP + 'def own(tensors: Tensor) -> Tensor:\n    """Own."""\n',
            r"own\.py:4: own: the first parameter is named 'tensors'",
        ),
    ],
)
def test_a_fault_in_it_is_told_with_its_line(plugin: Callable, text: str, fault: str) -> None:
    before = list(methods)
    with pytest.raises(RecipeError, match=fault):
        load_plugin(plugin(text))
    assert list(methods) == before


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(RecipeError, match=f"there is no plug-in {path}"):
            load_plugin(path)


def test_an_error_while_it_merges_is_said_to_be_in_it(plugin: Callable) -> None:
    file = plugin(TEN.format("weights.nothing"))
    load_plugin(file)
    with pytest.raises(RecipeError, match=rf"{file}:7: AttributeError: .*nothing") as error:
        merge([{"x": torch.ones(2, 3)}], "ten")
    assert "help: ten raised it on x [2, 3]" in str(error.value)
    assert file_of(methods["ten"]) == file and file_of(methods["linear"]) is None

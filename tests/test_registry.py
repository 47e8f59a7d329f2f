from __future__ import annotations

import difflib
import math

import pytest

from alnico.errors import AlnicoError, MissingExtraError, UnknownNameError
from alnico.registry import EXTRAS, Registry, closest, need, suggest

NAMES = ["density", "weight", "normalize", "scale"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("densty", "density"), ("wieght", "weight"), ("NORMALIZE", "normalize"), ("qqq", None)],
)
def test_a_misspelt_name_finds_what_was_meant(typed: str, meant: str | None) -> None:
    assert closest(typed, NAMES) == meant


def test_the_nearest_of_several_names_is_taken_in_its_own_spelling() -> None:
    names = ["roc_auc", "ROC_curve", "recall"]
    assert closest("roc_curv", names) == "ROC_curve"
    ratio = {name: difflib.SequenceMatcher(None, "roc_au", name).ratio() for name in names}
    assert closest("roc_au", names) == max(ratio, key=ratio.__getitem__)


def test_the_help_names_the_likely_one_or_the_first_few() -> None:
    assert suggest("densty", NAMES) == "did you mean 'density'?"
    assert suggest("qqq", NAMES) == "known names are density, weight, normalize, scale"
    assert suggest("qqq", NAMES[:1], all_of_them="columns are") == "columns are density"
    many = suggest("qqq", [f"column{i}" for i in range(20)])
    assert many.endswith("column11, ... 8 more") and "column12" not in many
    assert suggest("qqq", []) == "there are none"


def test_a_registry_keeps_its_order_and_suggests() -> None:
    kinds: Registry[int] = Registry("kind")
    assert kinds.add("soup", 1) == 1
    kinds.add("stacking", 2)
    assert list(kinds) == ["soup", "stacking"] and kinds.values() == [1, 2]
    assert "soup" in kinds and "soap" not in kinds and len(kinds) == 2
    with pytest.raises(UnknownNameError, match="there is no kind 'soap'\n  help: did you mean 's"):
        kinds["soap"]


def test_a_name_is_given_once_but_the_same_thing_may_come_again() -> None:
    things: Registry[object] = Registry("thing")
    one = object()
    assert things.add("one", one) is things.add("one", one)
    with pytest.raises(AlnicoError, match="two things are named 'one'\n  help: rename one"):
        things.add("one", object())
    assert things["one"] is one


def test_a_package_that_is_there_is_imported() -> None:
    assert need("math") is math


@pytest.mark.parametrize(
    ("package", "install"),
    [
        ("no_such_package", "pip install no_such_package"),
        ("polars_missing", "pip install 'alnico[tables]'"),
        ("polars_missing.io", "pip install 'alnico[tables]'"),
    ],
)
def test_a_missing_package_is_named_with_its_install_line(
    package: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "polars_missing", "tables")
    with pytest.raises(MissingExtraError, match=f"needs the package '{package}'") as error:
        need(package)
    assert error.value.help == install


def test_every_extra_that_is_named_is_one_of_the_package() -> None:
    from importlib.metadata import metadata

    assert set(EXTRAS.values()) <= set(metadata("alnico").get_all("Provides-Extra"))

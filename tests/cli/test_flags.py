from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from alnico.cli.flags import read_asked, read_compat, read_size
from alnico.errors import RecipeError
from alnico.recipe import Recipe

VERB: Any = SimpleNamespace(command=SimpleNamespace(params=[]))
NOTHING: dict[str, Any] = {"base": None, "method": None, "settings": None, "plugin": None}


def test_one_yaml_file_is_a_recipe_and_all_else_are_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_asked(VERB, ["pets.yml"], **NOTHING) == Path("pets.yml")
    assert read_asked(VERB, ["a/pets.yaml"], **NOTHING) == Path("a/pets.yaml")
    save_file({"w": np.ones(2, np.float32)}, "cats.safetensors")
    found = read_asked(VERB, ["cats.safetensors"], **NOTHING)
    assert isinstance(found, Recipe)
    assert found.merge.method == "linear" and list(found.models) == ["cats"]


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"base": "b"}, "--base"),
        ({"method": "ties"}, "--method"),
        ({"settings": ["row_wise=1"]}, "--row-wise"),
        ({"tokenizer": "union"}, "--tokenizer"),
    ],
)
def test_a_recipe_says_itself_what_flags_would(given: dict[str, Any], flag: str) -> None:
    with pytest.raises(RecipeError, match=f"^{flag} is for a merge without a recipe"):
        read_asked(VERB, ["pets.yml"], **(NOTHING | given))
    with pytest.raises(RecipeError, match="names its models itself; here is 'cats', too"):
        read_asked(VERB, ["cats", "pets.yml"], **NOTHING)


def test_sizes_are_in_thousands_or_in_1024s() -> None:
    assert [read_size(text) for text in (None, "5GB", "1.5 GiB", "40b")] == [
        None,
        5 * 10**9,
        3 * 2**29,
        40,
    ]
    for text in ("5", "GB", "-5GB", "0GB", "5 pounds"):
        with pytest.raises(RecipeError, match="must be a size") as caught:
            read_size(text)
        assert caught.value.help == "write it as 5GB"


def test_compat_knows_mergekit_alone() -> None:
    assert read_compat("mergekit") and not read_compat(None)
    with pytest.raises(RecipeError, match="cannot be 'mergekti'"):
        read_compat("mergekti")

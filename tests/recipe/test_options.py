from __future__ import annotations

from pathlib import Path

import pytest
import torch

from alnico.errors import RecipeError
from alnico.merging.execute import How
from alnico.recipe.options import Options
from alnico.recipe.parts import MergeStep, Recipe

RECIPE = Recipe(Path("r.yaml"), {}, MergeStep("linear", ()), seed=1, dtype="float16", shard_size=9)


def test_what_is_asked_for_stands_above_what_the_recipe_says() -> None:
    found = Options(seed=0, dtype="float32", shard_size=5).above(RECIPE)
    assert (found.seed, found.dtype, found.shard_size) == (0, "float32", 5)
    assert Options().above(RECIPE) == RECIPE


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (Options(exact=True), "--compat"),
        (Options(strict=True), "--strict"),
        (Options(stages=Path("kept")), "--stages"),
    ],
)
def test_what_mergekits_recipes_alone_have_is_refused(options: Options, flag: str) -> None:
    with pytest.raises(RecipeError, match=f"^{flag} is for") as caught:
        options.above(RECIPE)
    assert caught.value.help == f"leave out {flag}"


@pytest.mark.parametrize(
    ("options", "said", "help"),
    [
        (Options(dtype="int8"), "dtype cannot be 'int8'", "it can be float64"),
        (Options(dtype="flaot16"), "dtype cannot be 'flaot16'", "did you mean 'float16'?"),
        (Options(seed=-1), "seed must be a whole number from 0 on, got -1", ""),
        (Options(seed=2**63), "seed must be a whole number", ""),
        (Options(how=How(threads=-2)), "threads must be 0, .* got -2", ""),
        (Options(how=How(device="vulkan")), "no kind of device 'vulkan'", "there are cpu"),
        (Options(how=How(device="cuda:x")), "no kind of device 'cuda:x'", "did you mean 'cuda'?"),
        (Options(how=How(device="cuda:")), "no kind of device 'cuda:'", "did you mean 'cuda'?"),
    ],
)
def test_values_that_cannot_be_are_refused(options: Options, said: str, help: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        options.check()
    assert (caught.value.help or "").startswith(help)


def test_a_device_must_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="torch finds no cuda device here"):
        Options(how=How(device="cuda:0")).check()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    Options(how=How(device="cuda:1")).check()
    Options(how=How(device="cuda")).check()
    with pytest.raises(RecipeError, match="there is no cuda:2: 2 are here"):
        Options(how=How(device="cuda:2")).check()

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from alnico import progress
from alnico.errors import DataError, RecipeError, UnsafeFileError
from alnico.recipe.opening import check_faults, check_pins, opening
from alnico.recipe.parts import Source


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_each_model_is_opened_once_under_the_name_it_was_given_by() -> None:
    said: list[str] = []
    cats, dogs = "cats.safetensors", "./dogs.safetensors"
    with (
        progress.listen(lambda event: said.append(f"{event.what} {event.phase.text}")),
        opening([cats, dogs, cats], has_base=True) as models,
    ):
        assert list(models) == [cats, dogs]
        assert [model.path for model in models.values()] == [cats, dogs]
        held = models[cats]
    assert said[-1] == "finished 1 model, a base, 12 tensors, 108 weights, float32"
    with pytest.raises(Exception, match="cats"):  # it is closed
        held.array("embed.weight")


def test_a_model_of_the_hub_that_is_here_keeps_its_name() -> None:
    with opening(["org/cats@main"], here={"org/cats@main": Path("cats.safetensors")}) as models:
        assert str(models["org/cats@main"].path) == "org/cats@main"


def test_all_that_cannot_be_opened_is_told_at_once_in_the_gravest_kind() -> None:
    Path("dogs.safetensors").write_bytes(b"{}")
    with (
        pytest.raises(UnsafeFileError) as caught,
        opening(["dogs.safetensors", "none/at/all", "cats.safetensors"]),
    ):
        pass
    lines = caught.value.message.splitlines()
    assert lines[0] == "2 models cannot be read"
    assert "dogs.safetensors" in lines[1] and "none/at/all" in lines[2]


def test_one_fault_is_told_as_it_is_and_no_fault_is_none() -> None:
    check_faults([], title="of it")
    fault = RecipeError("wrong", help="right")
    with pytest.raises(RecipeError) as caught:
        check_faults([fault], title="of it")
    assert caught.value is fault
    with pytest.raises(RecipeError) as caught:
        check_faults([fault, RecipeError("also", help="right")], title="of it")
    assert str(caught.value) == "2 of it\n  wrong\n  also\n  help: right"


def test_a_file_must_be_the_one_that_is_pinned() -> None:
    digest = hashlib.sha256(Path("cats.safetensors").read_bytes()).hexdigest()
    places = ["cats.safetensors", "dogs.safetensors"]
    pinned = {place[:4]: Source(place, Path(place), sha256=digest) for place in places}
    with opening(places) as models:
        check_pins({"cats": pinned["cats"], "dogs": Source(places[1], Path(places[1]))}, models)
        with pytest.raises(DataError, match=f"dogs has the sha256 {digest[:16]}") as caught:
            check_pins(pinned, models)
    assert caught.value.message.startswith("dogs.safetensors is not the file of the recipe")

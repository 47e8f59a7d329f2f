from __future__ import annotations

from pathlib import Path

import pytest

from alnico.errors import RecipeError
from alnico.recipe.places import find_source, inside, name_of


def fault(text: str, folder: Path, revision: str | None = None) -> str:
    with pytest.raises(RecipeError) as error:
        find_source(text, folder, revision=revision)
    return str(error.value)


def test_paths_start_at_the_recipe(folder: Path) -> None:
    (folder / "deeper").mkdir()
    for text in ("cats.safetensors", "./cats.safetensors", "deeper/../cats.safetensors"):
        found = find_source(text, folder)
        assert found.path is not None and found.path.samefile(folder / "cats.safetensors")
        assert found.text == text and found.revision is None


def test_whole_paths_are_taken_as_they_are(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    found = find_source(str(folder / "cats.safetensors"), elsewhere)
    assert found.path == folder / "cats.safetensors"


def test_the_home_folder_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert find_source("~/cats.safetensors", Path("/")).path == folder / "cats.safetensors"


@pytest.mark.parametrize(
    "text", ["../cats.safetensors", "..", "a/../../cats.safetensors", "./../x"]
)
def test_a_relative_path_does_not_leave_the_folder(folder: Path, text: str) -> None:
    inner = folder / "recipes"
    inner.mkdir()
    assert fault(text, inner) == (
        f"'{text}' leaves the folder of the recipe\n"
        "  help: write the whole path, or put the recipe beside its models"
    )


def test_a_link_does_not_leave_the_folder_either(folder: Path) -> None:
    inner = folder / "recipes"
    inner.mkdir()
    (inner / "cats.safetensors").symlink_to(folder / "cats.safetensors")
    (inner / "up").symlink_to(folder)
    (inner / "round").symlink_to(inner / "round")
    (folder / "dear.safetensors").symlink_to(folder / "cats.safetensors")
    for text in ("cats.safetensors", "up/cats.safetensors"):
        assert "leaves the folder of the recipe" in fault(text, inner)
    assert "leads nowhere" in fault("round", inner)
    assert find_source("dear.safetensors", folder).path == folder / "dear.safetensors"


def test_a_path_that_starts_elsewhere_is_explained(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = folder / "recipes"
    inner.mkdir()
    monkeypatch.chdir(folder)
    assert f"paths start at the recipe; here would be {folder / 'cats.safetensors'}" in fault(
        "./cats.safetensors", inner
    )


def test_the_nearest_name_in_the_folder_is_suggested(folder: Path) -> None:
    assert fault("./cast.safetensors", folder) == (
        "there is no model './cast.safetensors'\n  help: did you mean './cats.safetensors'?"
    )
    assert "did you mean 'dogs.safetensors'?" in fault("dgos.safetensors", folder)
    assert "there is no folder" in fault("./deeper/cats.safetensors", folder)
    assert "a model of the hub is ORGANISATION/MODEL@main" in fault("zebra", folder)


def test_names_of_a_hub_are_taken_where_no_folder_is_of_the_first_part(folder: Path) -> None:
    found = find_source("org/model", folder)
    assert (found.text, found.path, found.revision) == ("org/model", None, None)
    assert find_source("org/model@v1.0", folder).reference == "org/model@v1.0"
    assert find_source("org/model", folder, revision="abc").reference == "org/model@abc"
    (folder / "org").mkdir()
    assert "there is no model 'org/model'" in fault("org/model", folder)
    assert find_source("org/model@main", folder).path is None


def test_a_revision_is_of_the_hub_and_only_one(folder: Path) -> None:
    assert "'cats.safetensors' is on disk, and has no revision" in fault(
        "cats.safetensors", folder, revision="v1"
    )
    assert "'org/model@v1' has two revisions" in fault("org/model@v1", folder, revision="v2")
    assert find_source("org/model@v1", folder, revision="v1").revision == "v1"


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "a\nb", "x" * 300, "x/" * 3000])
def test_what_can_be_no_path_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(RecipeError, match=r"^'.* is no path"):
        inside(text, folder)


def test_an_output_need_not_be_there(folder: Path) -> None:
    assert inside("./pets", folder) == folder / "pets"
    assert inside("/pets", folder) == Path("/pets")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("./cats.safetensors", "cats"),
        ("models/llama-3.1/", "llama-3.1"),
        ("org/model@v1.0", "model"),
        ("a/b.pth", "b"),
        ("..", ".."),
    ],
)
def test_a_model_without_a_name_is_called_by_its_path(text: str, name: str) -> None:
    assert name_of(text) == name

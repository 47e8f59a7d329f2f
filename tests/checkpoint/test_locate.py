"""Paths that lead somewhere, and texts that name nothing on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from alnico.checkpoint import hub
from alnico.checkpoint.hub import HubName, Snapshot
from alnico.checkpoint.locate import Place, locate
from alnico.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "model.safetensors").touch()
    (tmp_path / "pets" / "big.safetensors.index.json").touch()
    return tmp_path / "pets"


def test_a_file_an_index_and_a_folder_are_found(folder: Path) -> None:
    file, index = folder / "model.safetensors", folder / "big.safetensors.index.json"
    assert locate(file) == Place(file, None)
    assert locate(str(index)) == Place(index, folder)
    assert locate(folder) == Place(file, folder)


def test_a_name_of_the_hub_is_fetched_if_nothing_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[HubName] = []

    def fake(name: HubName) -> Snapshot:
        asked.append(name)
        return Snapshot(folder, "c0ffee")

    monkeypatch.setattr(hub, "fetch", fake)
    monkeypatch.chdir(folder.parent)
    assert locate("org/pets@v2") == Place(folder / "model.safetensors", folder, "c0ffee")
    assert locate("org/pets").revision == "c0ffee"
    assert asked == [HubName("org/pets", "v2"), HubName("org/pets", None)]
    (folder.parent / "org" / "pets@v2").mkdir(parents=True)
    (folder.parent / "org" / "pets@v2" / "net.pt").touch()
    assert locate("org/pets@v2").weights == Path("org/pets@v2/net.pt")
    assert len(asked) == 2


def test_what_is_not_there_is_named_with_the_nearest_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    for text, help in (
        ("pest", "did you mean 'pets'?"),
        ("pets/modle.safetensors", "did you mean 'pets/model.safetensors'?"),
        ("pets/cats", "for the model of the hub write pets/cats@main"),
        ("./none/x.safetensors", "there is no folder none, either"),
        ("zzz", "check the path"),
        ("pets/model.safetensors/x", "there is no folder pets/model.safetensors, either"),
    ):
        with pytest.raises(DataError) as error:
            locate(text)
        assert f"there is no file or folder {Path(text)}\n" in str(error.value)
        assert help in str(error.value)


@pytest.mark.parametrize("text", ["a\0b", "x" * 5_000, "", "~", "https://host/org/model"])
def test_what_can_be_no_path_is_refused_as_what_is_not_there(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        locate(text)

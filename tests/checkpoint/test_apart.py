from __future__ import annotations

from pathlib import Path

import pytest

from alnico.checkpoint.apart import check_apart
from alnico.errors import OutputError


def test_an_output_is_kept_apart_from_inputs_however_they_are_named(tmp_path: Path) -> None:
    model, store = tmp_path / "model", tmp_path / "store"
    for folder in (model / "sub", store):
        folder.mkdir(parents=True)
    (model / "a.safetensors").write_text("")
    (store / "blob").write_text("")
    (model / "link.safetensors").symlink_to(store / "blob")
    (tmp_path / "alias").symlink_to(model)
    (tmp_path / "twin.safetensors").hardlink_to(model / "a.safetensors")
    for place, source, message in [
        (model, model, "is an input itself"),
        (tmp_path / "alias", model, "is an input itself"),
        (tmp_path / "twin.safetensors", model / "a.safetensors", "is an input itself"),
        (model / "new", model, "lies in the input"),
        (tmp_path / "alias" / "sub" / "new", model, "lies in the input"),
        (model / "sub" / ".." / "new", tmp_path / "alias", "lies in the input"),
        (model, model / "a.safetensors", "has the input .* in it"),
        (model, model / "link.safetensors", "has the input .* in it"),
        (store, model / "link.safetensors", "has the input .* in it"),
    ]:
        with pytest.raises(OutputError, match=f"{message}.*inputs are never changed"):
            check_apart(place, [tmp_path / "nothing", source])
    check_apart(model / "b.safetensors", [model / "a.safetensors"])
    check_apart(model / "sub" / ".." / ".." / "out", [model, store])
    check_apart(tmp_path / "model2", [model])


def test_a_relative_place_is_kept_apart_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    with pytest.raises(OutputError, match="lies in the input"):
        check_apart(Path("out"), [Path()])
    with pytest.raises(OutputError, match="is an input itself"):
        check_apart(tmp_path / "model", [Path("model")])
    check_apart(Path("out"), [Path("model")])

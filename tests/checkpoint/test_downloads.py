from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from alnico.checkpoint.downloads import Download, find_here, size_up
from alnico.checkpoint.hub import HubName
from alnico.errors import DataError

NAME = HubName("org/m", "main")
FILES: dict[str, int | None] = {
    "config.json": 700,
    "tokenizer.json": 30_000,
    "model.safetensors.index.json": 900,
    "model-00001-of-00002.safetensors": 4_000_000,
    "model-00002-of-00002.safetensors": 3_000_000,
    "pytorch_model.bin": 7_000_000,
    "onnx/model.onnx": 7_000_000,
}


class FakeHub(ModuleType):
    """The part of huggingface_hub's face that is used."""

    def __init__(self) -> None:
        super().__init__("huggingface_hub")
        self.files = dict(FILES)
        self.failure: Exception | None = None
        self.folder: Path | None = None
        self.errors = SimpleNamespace(
            RepositoryNotFoundError=type("RepositoryNotFoundError", (OSError,), {}),
            RevisionNotFoundError=type("RevisionNotFoundError", (OSError,), {}),
        )

    def HfApi(self) -> FakeHub:
        return self

    def model_info(self, repo: str, *, revision: str, files_metadata: bool) -> SimpleNamespace:
        assert (repo, revision, files_metadata) == ("org/m", "main", True)
        if self.failure is not None:
            raise self.failure
        files = [SimpleNamespace(rfilename=name, size=n) for name, n in self.files.items()]
        return SimpleNamespace(sha="5f0c", siblings=files)

    def snapshot_download(self, repo: str, *, revision: str, local_files_only: bool) -> str:
        assert (repo, revision, local_files_only) == ("org/m", "main", True)
        if self.folder is None:
            raise FileNotFoundError("no snapshot")
        return str(self.folder)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


def test_the_files_that_a_merge_needs_are_counted_with_their_shards(hub: FakeHub) -> None:
    assert size_up(NAME) == Download("org/m", "5f0c", 5, 7_031_600)
    hub.files = {"model.safetensors": 50, "config.json": 2, "model-00001-of-00002.bin": 9}
    assert size_up(NAME) == Download("org/m", "5f0c", 2, 52)


def test_a_size_that_the_hub_does_not_say_is_not_made_up(hub: FakeHub) -> None:
    hub.files["config.json"] = None
    assert size_up(NAME) == Download("org/m", "5f0c", 5, None)
    hub.failure = ConnectionError("no route")
    assert size_up(NAME) == Download("org/m", None, None, None)


def test_a_model_that_the_hub_does_not_have_is_a_fault(hub: FakeHub) -> None:
    hub.failure = hub.errors.RepositoryNotFoundError("404")
    with pytest.raises(DataError, match="the hub gives no org/m at main: 404"):
        size_up(NAME)
    hub.failure, hub.files = None, {"README.md": 1}
    with pytest.raises(DataError, match="has no weights on the hub"):
        size_up(NAME)


def test_a_model_is_here_if_all_its_weights_are(hub: FakeHub, tmp_path: Path) -> None:
    assert find_here(NAME) is None
    hub.folder = tmp_path
    assert find_here(NAME) is None
    index = '{"weight_map": {"w": "model-00001-of-00002.safetensors"}}'
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert find_here(NAME) is None
    save_file({"w": np.zeros(2)}, tmp_path / "model-00001-of-00002.safetensors")
    assert find_here(NAME) == tmp_path

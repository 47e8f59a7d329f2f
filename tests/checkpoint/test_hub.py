"""The hub, played by a folder: what is fetched of a model, at which commit, and what is said."""

from __future__ import annotations

import fnmatch
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from alnico.checkpoint.hub import HubName, fetch, first_files, hub_name
from alnico.errors import DataError, MissingExtraError

COMMIT = "5f0c" * 10
PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
NEEDED = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "modeling_own.py",
    "model.safetensors.index.json",
    *PARTS,
}
UNNEEDED = {
    "README.md",
    "pytorch_model.bin",
    "consolidated.safetensors",
    "original/consolidated.00.pth",
    "original/tokenizer.model",
    "onnx/model.onnx",
    "tf_model.h5",
}


class FakeHub(ModuleType):
    """A package with the part of huggingface_hub's face that is used."""

    def __init__(self, cache: Path, files: set[str]) -> None:
        super().__init__("huggingface_hub")
        self.cache, self.files, self.failure = cache, files, None
        self.fetched: list[str] = []
        self.errors = SimpleNamespace(
            RepositoryNotFoundError=type("RepositoryNotFoundError", (OSError,), {}),
            RevisionNotFoundError=type("RevisionNotFoundError", (OSError,), {}),
        )

    def HfApi(self) -> FakeHub:
        return self

    def model_info(self, repo: str, *, revision: str | None) -> SimpleNamespace:
        assert (repo, revision) in {("org/m", None), ("org/m", "v1")}
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(
            sha=COMMIT, siblings=[SimpleNamespace(rfilename=name) for name in self.files]
        )

    def snapshot_download(
        self,
        repo: str,
        *,
        revision: str | None,
        allow_patterns: list[str] | None = None,
        local_files_only: bool = False,
    ) -> str:
        folder = self.cache / "models--org--m" / "snapshots" / COMMIT
        if local_files_only:
            if not folder.exists():
                raise FileNotFoundError("no snapshot")
            return str(folder)
        assert revision == COMMIT and allow_patterns is not None
        blobs = folder.parent.parent / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        for name in self.files:
            if any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns):
                self.fetched.append(name)
                index = json.dumps({"weight_map": dict(zip("ab", PARTS, strict=True))})
                (blobs / f"{hash(name):x}").write_text(index)
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to(blobs / f"{hash(name):x}")
        return str(folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path, NEEDED | UNNEEDED)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("org/model", HubName("org/model", None)),
        ("Qwen/Qwen3-0.6B@main", HubName("Qwen/Qwen3-0.6B", "main")),
        ("a/b@refs/pr/1", HubName("a/b", "refs/pr/1")),
        ("model", None),
        ("./org/model", None),
        ("/org/model", None),
        ("a/b/c", None),
        ("../model", None),
        ("models/cats.safetensors", None),
        ("org/model@", None),
        ("org/mo del", None),
    ],
)
def test_a_hubs_name_is_told_from_a_path(text: str, found: HubName | None) -> None:
    assert hub_name(text) == found


def test_only_the_needed_files_are_fetched_at_one_commit(hub: FakeHub) -> None:
    snapshot = fetch(HubName("org/m", "v1"))
    assert snapshot.revision == COMMIT == snapshot.folder.name
    assert sorted(hub.fetched) == sorted(NEEDED)


def test_pickles_are_fetched_only_where_there_is_nothing_safer() -> None:
    files = {"config.json", "pytorch_model.bin", "flax_model.msgpack"}
    assert first_files(sorted(files), "m") == ["pytorch_model.bin", "config.json"]
    both = first_files(["pytorch_model.bin", "model.safetensors"], "m")
    assert both == ["model.safetensors"]


def test_a_model_of_many_folders_is_refused_with_a_way_out(hub: FakeHub) -> None:
    hub.files = {"unet/diffusion_pytorch_model.safetensors", "model_index.json"}
    with pytest.raises(DataError, match="org/m has no weights on the hub"):
        fetch(HubName("org/m", None))
    assert hub.fetched == []


def test_a_file_name_is_no_pattern(hub: FakeHub) -> None:
    hub.files = {"[m]*.safetensors", "m1.safetensors.index.txt", "mm.bin"}
    fetch(HubName("org/m", None))
    assert hub.fetched == ["[m]*.safetensors"]


@pytest.mark.parametrize("kind", ["RepositoryNotFoundError", "RevisionNotFoundError"])
def test_an_unknown_model_or_revision_is_named(kind: str, hub: FakeHub) -> None:
    hub.failure = getattr(hub.errors, kind)("404 Client Error.\n\nmore of it")
    with pytest.raises(DataError, match=r"the hub gives no org/m at v1: 404 Client Error\.\n"):
        fetch(HubName("org/m", "v1"))


def test_without_the_network_the_cache_answers(hub: FakeHub) -> None:
    hub.failure = ConnectionError("offline mode is enabled")
    with pytest.raises(DataError, match="gave no answer: offline mode") as error:
        fetch(HubName("org/m", None))
    assert "HF_HUB_OFFLINE" in str(error.value)
    hub.failure = None
    first = fetch(HubName("org/m", None))
    hub.failure = RuntimeError()  # a connection lost, by another library
    assert fetch(HubName("org/m", None)) == first


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        fetch(HubName("org/m", None))

"""Folders of good and bad files: what is said of each, and how little of it is read."""

from __future__ import annotations

import json
import os
import pickle
import resource
import struct
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from alnico.checkpoint.scan import MAX_JSON, Finding, scan
from alnico.errors import DataError
from alnico.progress import printable


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("echo",)


def only(path: Path) -> Finding:
    (found,) = scan(path)
    return found


def packed(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: object, offsets: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound model of two shards."""
    folder = tmp_path / "model"
    folder.mkdir()
    for i in (1, 2):
        save_file({f"w{i}": torch.ones(3)}, folder / f"shard-{i}.safetensors")
    places = {"w1": "shard-1.safetensors", "w2": "shard-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "config.json").write_text('{"hidden": 3}')
    return folder


def test_a_sound_model_is_safe_and_the_rest_is_not_claimed(folder: Path) -> None:
    (folder / "README.md").write_text("# words")
    (folder / "more").mkdir()
    (folder / "more" / "modeling.py").write_text("import os")
    found = {str(f.file.relative_to(folder)): (f.verdict, f.reason) for f in scan(folder)}
    assert found == {
        "README.md": ("unknown", "not read by alnico"),
        "config.json": ("safe", "sound JSON"),
        "model.safetensors.index.json": ("safe", "an index of 2 tensors in 2 files"),
        "more/modeling.py": ("unknown", "code; alnico never runs it"),
        "shard-1.safetensors": ("safe", "safetensors, 1 tensors"),
        "shard-2.safetensors": ("safe", "safetensors, 1 tensors"),
    }
    assert list(found) == sorted(found)


FAULTS = {
    "too short": (b"\x01\0", "too few for a header"),
    "past the end": (packed({}, length=9999), "more than the file has"),
    "above the limit": (packed({}, length=2**63), "more than 100000000"),
    "not JSON": (packed(b"{'a'}"), "not sound JSON"),
    "names twice": (packed(b'{"a": 1, "a": 1}'), "a name occurs twice"),
    "trailing bytes": (packed({"a": tensor([1], [0, 4])}, bytes(5)), "5 follow the header"),
    "data missing": (packed({"a": tensor([1], [0, 4])}, bytes(3)), "3 follow the header"),
    "unknown dtype": (packed({"a": tensor([1], [0, 4], "F31")}, bytes(4)), "unknown dtype"),
    "overflowing": (packed({"a": tensor([2**62, 9], [0, 4])}, bytes(4)), "needs"),
    "a hole": (packed({"a": tensor([1], [4, 8])}, bytes(8)), "leaves a hole"),
    "metadata": (packed({"__metadata__": {"a": 1}}), "__metadata__ is not a mapping"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_safetensors_file_is_unsafe_with_its_fault(fault: str, tmp_path: Path) -> None:
    data, reason = FAULTS[fault]
    for name in ("x.safetensors", "X.SAFETENSORS"):
        (tmp_path / name).write_bytes(data)
        found = only(tmp_path / name)
        assert found.verdict == "unsafe" and reason in found.reason and found.help


def test_an_ending_that_lies_is_seen_through(tmp_path: Path) -> None:
    evil = pickle.dumps(Evil())
    for name in ("a.safetensors", "a.json", "a.index.json", "a.txt"):
        (tmp_path / name).write_bytes(evil)
        found = only(tmp_path / name)
        assert found.verdict == "unsafe" and "a pickle that would call" in found.reason
        assert "no flag forces it" in str(found.help)
    save_file({"a": torch.ones(2)}, tmp_path / "weights.dat")
    assert only(tmp_path / "weights.dat").reason == "safetensors, 1 tensors"
    (tmp_path / "weights.dat").write_bytes(packed({"a": 1}))
    assert only(tmp_path / "weights.dat").verdict == "unsafe"


@pytest.mark.parametrize("is_zip", [True, False])
def test_weights_of_pytorch_are_safe_and_what_is_more_is_not(tmp_path: Path, is_zip: bool) -> None:
    state = {"w": torch.ones(3), "b": torch.ones(2)}
    for name, value in {"a.bin": state, "b.txt": {"model": state}, "c.pt": [state]}.items():
        torch.save(value, tmp_path / name, _use_new_zipfile_serialization=is_zip)
    torch.save([state, Evil()], tmp_path / "d.pth", _use_new_zipfile_serialization=is_zip)
    (tmp_path / "e.bin").write_bytes((tmp_path / "a.bin").read_bytes()[:-9])
    found = {finding.file.name: finding for finding in scan(tmp_path)}
    assert found["a.bin"].reason == found["b.txt"].reason == "PyTorch, 2 tensors, weights only"
    assert found["c.pt"].reason.startswith("has no single state dict: it holds")
    assert "pickle would call" in found["d.pth"].reason and "no flag" in str(found["d.pth"].help)
    verdicts = [finding.verdict for finding in found.values()]
    assert verdicts == ["safe", "safe", "unknown", "unsafe", "unsafe"]


@pytest.mark.parametrize(
    ("shard", "what"),
    [
        ("../x.safetensors", "leads out"),
        ("/etc/passwd", "leads out"),
        ("C:\\x.safetensors", "leads out"),
        ("..\\x.safetensors", "leads out"),
        ("a\0b", "leads out"),
        ("", "leads out"),
        ("none.safetensors", "is missing"),
        ("link/x.safetensors", "leads out"),
    ],
)
def test_an_index_that_names_what_is_not_in_its_folder_is_unsafe(
    folder: Path, shard: str, what: str
) -> None:
    (folder.parent / "x.safetensors").write_bytes(b"")
    (folder / "link").symlink_to(folder.parent)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w1": "shard-1.safetensors", "w2": shard}}))
    found = only(index)
    assert found.verdict == "unsafe" and what in found.reason


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": [1]}', '{"weight_map": {"a": 1}}'])
def test_an_index_without_a_mapping_is_unsafe(folder: Path, text: str) -> None:
    (folder / "x.index.json").write_text(text)
    assert "weight_map is not a mapping" in only(folder / "x.index.json").reason


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"\xff", b"[" * 10**6]
)
def test_json_that_is_not_sound_is_unsafe(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)
    found = only(tmp_path / "config.json")
    assert found.verdict == "unsafe" and "not sound JSON" in found.reason


def test_links_that_leave_the_folder_are_named_and_not_followed(folder: Path) -> None:
    secret = folder.parent / "secret.json"
    secret.write_text("{}")
    (folder / "a-out.json").symlink_to(secret)
    (folder / "b-in.json").symlink_to("config.json")
    (folder / "c-loop").symlink_to(".")
    (folder / "d-none").symlink_to("nothing")
    (folder / "e-out").symlink_to(folder.parent)
    found = {f.file.name: f for f in scan(folder) if f.file.is_symlink()}
    assert found["a-out.json"].verdict == found["e-out"].verdict == "unsafe"
    assert "leaves the folder, to" in found["a-out.json"].reason
    assert found["b-in.json"].verdict == "safe"
    assert (
        "not followed" in found["c-loop"].reason and found["d-none"].reason == "a link to nothing"
    )
    assert len(scan(folder)) == 9


def test_the_links_of_a_hubs_cache_into_its_blobs_are_followed(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "1f").write_text("{}")
    (blobs / "2e").write_bytes(pickle.dumps(Evil()))
    (snapshot / "config.json").symlink_to("../../blobs/1f")
    (snapshot / "model.safetensors").symlink_to("../../blobs/2e")
    assert [f.verdict for f in scan(snapshot)] == ["safe", "unsafe"]


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    began = time.monotonic()
    assert "not a plain file" in only(tmp_path / "x.safetensors").reason
    assert [f.verdict for f in scan(tmp_path)] == ["unsafe"] and time.monotonic() - began < 1
    assert only(Path(os.devnull)).verdict == "unsafe"


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        scan(tmp_path / "none")
    assert scan(tmp_path) == []


def test_huge_and_lying_files_cost_nothing(tmp_path: Path) -> None:
    huge = {
        "a.safetensors": packed(b"{" + b" " * 100, length=10**8),
        "b.pkl": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little"),
        "c.json": b"[",
        "d.bin": b"PK\x03\x04",
        "e.dat": b"\x1f\x8b\x08\x08\0\0\0\0\0\0" + b"x" * 100,
        "f.safetensors": packed(b"{", length=MAX_JSON),
    }
    for name, data in huge.items():
        with (tmp_path / name).open("wb") as file:
            file.write(data)
            file.truncate(2**33)  # 8 GiB with nothing in them
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = {f.file.name: f for f in scan(tmp_path)}
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB
    assert {f.verdict for f in found.values()} == {"unsafe"}
    assert "too long to be checked" in found["a.safetensors"].reason
    assert "too large to be checked" in found["c.json"].reason


def test_text_from_a_file_cannot_steer_a_terminal(tmp_path: Path) -> None:
    assert printable("a\x1b[2J\nb\u202ec\udcff") == "a\\x1b[2J\\nb\\u202ec\\udcff"
    data = b"\x80\x04\x8c\x04\x1b[2J\x8c\x01x\x93."
    (tmp_path / "m.pkl").write_bytes(data)
    assert "import \\x1b[2J.x at byte" in only(tmp_path / "m.pkl").reason


def test_real_files_raise_no_alarm(shared_data: Path) -> None:
    found = scan(shared_data)
    assert len(found) > 10 and {f.verdict for f in found} == {"unknown"}


def test_a_file_that_cannot_be_opened_is_not_called_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    (tmp_path / "y.txt").write_text("words")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert [f.verdict for f in scan(tmp_path)] == ["unknown"] * 2
    assert only(tmp_path / "y.txt").reason == "it cannot be read: Permission denied"


def test_a_link_that_the_user_names_is_followed(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert {f.verdict for f in scan(link)} == {"safe"}
    file = folder.parent / "file.safetensors"
    file.symlink_to(folder / "shard-1.safetensors")
    assert only(file).verdict == "safe"


def test_shards_may_lie_in_folders_of_the_model(folder: Path) -> None:
    (folder / "parts").mkdir()
    save_file({"w": torch.ones(1)}, folder / "parts" / "a.safetensors")
    (folder / "x.index.json").write_text('{"weight_map": {"w": "parts/a.safetensors"}}')
    assert only(folder / "x.index.json").reason == "an index of 1 tensors in 1 files"
    faulty = {f"w{i}": f"../{i}" for i in range(3)}
    (folder / "x.index.json").write_text(json.dumps({"weight_map": faulty}))
    assert (
        "names '../0', which leads out of the folder, and 2 more"
        in only(folder / "x.index.json").reason
    )


def test_a_long_reason_is_cut(tmp_path: Path) -> None:
    (tmp_path / "x.index.json").write_text(json.dumps({"weight_map": {"a": "../" + "x" * 999}}))
    reason = only(tmp_path / "x.index.json").reason
    assert len(reason) == 200 and reason.endswith("...")

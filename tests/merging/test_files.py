from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from alnico import progress
from alnico.errors import DataError, IncompatibleModelsError, OutputError, RecipeError
from alnico.merging import files, merge_files, merge_paths, sources
from alnico.types import StateDict


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def three(save: Callable[..., Path]) -> list[Path]:
    return [save(name) for name in ("cats", "dogs", "base")]


def test_the_file_holds_what_the_formula_gives(three: list[Path], tmp_path: Path) -> None:
    cats, dogs, base = three
    out = tmp_path / "pets.safetensors"
    merge_files([cats, dogs], out, "task_arithmetic", base=base, weight=[1.0, 0.5], scale=0.8)
    a, b, root, found = (load_file(path) for path in (cats, dogs, base, out))
    assert set(found) == set(a)
    for name, tensor in found.items():
        if name == "1.num_batches_tracked":
            assert tensor == a[name]
            continue
        expected = root[name] + 0.8 * (a[name] - root[name] + 0.5 * (b[name] - root[name]))
        torch.testing.assert_close(tensor, expected)


def test_the_record_beside_it_tells_all(three: list[Path], tmp_path: Path) -> None:
    cats, dogs, base = three
    out = tmp_path / "pets.v1.safetensors"
    given = merge_files([cats, dogs], str(out), "ties", base=base, weight=torch.tensor([1.0, 0.5]))
    record = json.loads((tmp_path / "pets.v1.run.json").read_text("utf-8"))
    assert record == given
    assert (record["method"], record["plugin"]) == ("ties", None)
    assert record["parameters"] == {"weight": [1.0, 0.5], "density": 0.2, "scale": 1.0}
    for said, path in zip(
        [*record["models"], record["base"], record["output"]], [*three, out], strict=True
    ):
        assert said == {"path": str(path), "sha256": sha(path), "bytes": path.stat().st_size}
    assert {"alnico", "torch"} == set(record["versions"])
    assert record["tensors"]["copied"] == ["1.num_batches_tracked"]
    named = sorted(name for names in record["tensors"].values() for name in names)
    assert named == sorted(load_file(out))


def test_the_same_merge_gives_the_same_bytes_in_groups_of_any_size(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    merge_files(three, first, weight=[1, 2, 3])
    monkeypatch.setattr(sources, "GROUP_BYTES", 1)
    merge_files(three, second, weight=[1, 2, 3])
    assert sha(first) == sha(second)


def test_at_most_one_group_of_each_model_is_read_at_a_time(
    three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str]] = []
    monkeypatch.setattr(sources, "GROUP_BYTES", 1)
    original = sources.Source.read

    def spy(source: sources.Source, names: list[str]) -> StateDict:
        read.append(list(names))
        return original(source, names)

    monkeypatch.setattr(sources.Source, "read", spy)
    merged = merge_paths(three[:2], "ties", base=three[2])
    assert read == [names for names in read[::3] for _ in range(3)]
    assert all(len(names) == 1 for names in read) and len(read) == 3 * len(merged)
    assert list(merged) == list(sources.open_source(three[0]).header.tensors)


def test_faults_in_headers_are_found_before_a_tensor_is_read(
    save: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.Source, "read", lambda *_: pytest.fail("a tensor was read"))
    narrow, wide = (save(n, {"w": torch.ones(s)}) for n, s in (("narrow", 2), ("wide", 3)))
    out = tmp_path / "out.safetensors"
    with pytest.raises(IncompatibleModelsError) as error:
        merge_files([narrow, wide], out)
    assert f"{narrow} and {wide} differ in the shape of 1 of 1 tensors" in str(error.value)
    with pytest.raises(RecipeError, match="there are no models"):
        merge_files([], out)
    assert not out.exists()


def test_notes_that_all_models_share_are_kept(save: Callable[..., Path], tmp_path: Path) -> None:
    state = {"w": torch.ones(2)}
    paths = [save(name, state, format="pt", name=name, only_here="") for name in "ab"]
    paths.append(save("c", state, format="pt", name="c"))
    out = tmp_path / "out.safetensors"
    merge_files(paths, out)
    with safe_open(out, framework="pt") as opened:
        assert opened.metadata() == {"format": "pt"}


@pytest.mark.parametrize("which", ["cats", "base", "a link", "another way to it"])
def test_an_input_is_never_the_output_even_by_force(
    which: str, three: list[Path], tmp_path: Path
) -> None:
    cats, dogs, base = three
    link = tmp_path / "link.safetensors"
    link.symlink_to(dogs)
    places = {"cats": cats, "base": base, "a link": link}
    out = places.get(which, tmp_path / ".." / tmp_path.name / "dogs.safetensors")
    before = [sha(path) for path in three]
    with pytest.raises(OutputError, match="is an input itself, and inputs are never changed"):
        merge_files([cats, dogs], out, "ties", base=base, force=True)
    assert [sha(path) for path in three] == before


@pytest.mark.parametrize("taken", ["out.safetensors", "out.run.json"])
def test_what_is_there_is_replaced_by_force_alone(
    taken: str, three: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    (tmp_path / taken).write_text("old")
    with pytest.raises(OutputError, match=f"{taken} is there already"):
        merge_files(three, out)
    assert (tmp_path / taken).read_text() == "old"
    record = merge_files(three, out, force=True)
    assert record["output"]["sha256"] == sha(out)  # type: ignore[index]
    (tmp_path / "f.run.json").mkdir()
    with pytest.raises(OutputError, match="is a folder, not a file"):
        merge_files(three, tmp_path / "f.safetensors", force=True)


def test_an_output_of_another_kind_or_too_large_is_refused_at_once(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match=r"ends in \.safetensors\n  help: -o .*out\.safetensors"):
        merge_files(three, tmp_path / "out.bin")
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"out\.safetensors needs \d+ bytes, and 10 are free"):
        merge_files(three, tmp_path / "out.safetensors")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_leaves_nothing_behind(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_tensors", full)
    with pytest.raises(OutputError, match="the disk is full"):
        merge_files(three, tmp_path / "out.safetensors")
    assert len(list(tmp_path.iterdir())) == 3


def test_an_input_that_changes_meanwhile_stops_the_merge(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = iter(range(100))
    monkeypatch.setattr(sources, "_stamp", lambda path: (next(stamps), 0))
    with pytest.raises(DataError, match="was changed while it was read"):
        merge_files(three, tmp_path / "out.safetensors")
    with pytest.raises(DataError, match="was changed while it was read"):
        merge_paths(three)
    assert len(list(tmp_path.iterdir())) == 3


def test_its_phases_say_what_was_done(three: list[Path], tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    out = tmp_path / "pets.safetensors"

    def listen(event: progress.Event) -> None:
        if event.what == "finished":
            heard.append((event.phase.name, event.phase.text))

    with progress.listen(listen):
        merge_files(three[:2], out, "ties", base=three[2], weight=[1.0, 0.8])
    size = f"{out.stat().st_size:_}".replace("_", " ")
    assert heard == [
        ("read", "2 models, a base, 9 tensors, 99 weights, float32"),
        ("check", "safetensors only; same names, shapes, dtypes"),
        ("merge", "ties weight=1,0.8 density=0.2 scale=1"),
        ("write", f"{out}  {size} bytes  sha256 {sha(out)[:8]}"),
    ]

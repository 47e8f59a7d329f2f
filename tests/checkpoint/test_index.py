"""Indices that lie about their folder, and sound ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alnico.checkpoint.index import Index, check_shards, read_index, shard_paths
from alnico.errors import DataError, UnsafeFileError

PLACES = {"a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors"}


def written(folder: Path, content: object) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(content))
    return path


def test_an_index_says_where_each_tensor_is(tmp_path: Path) -> None:
    content = {"metadata": {"total_size": -5}, "weight_map": PLACES}  # a size that lies
    index = read_index(written(tmp_path, content))
    assert index.places == PLACES
    assert index.shards == ("one.safetensors", "two.safetensors")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([], "it is not a mapping"),
        ({}, "weight_map is not a mapping"),
        ({"weight_map": ["a"]}, "weight_map is not a mapping"),
        ({"weight_map": {"a": 5}}, "weight_map is not a mapping"),
        ({"weight_map": {"a": None}}, "weight_map is not a mapping"),
        ({"weight_map": {}}, "weight_map is empty"),
    ],
)
def test_an_index_that_maps_nothing_is_refused(content: object, fault: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"model\.safetensors\.index\.json .*{fault}"):
        read_index(written(tmp_path, content))


@pytest.mark.parametrize(
    "shard",
    [
        *("/etc/passwd", "../x", "a/../../x", "", "a\0b", "C:\\x", "\\\\host\\x", "..\\x", ".."),
        "//host/x",
    ],
)
def test_a_name_that_leaves_the_folder_is_refused_before_anything_is_read(
    shard: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsafeFileError, match="which leads out of the folder"):
        read_index(written(tmp_path, {"weight_map": {"a": shard}}))


def test_a_link_is_followed_inside_the_folder_and_into_a_hubs_blobs_only(tmp_path: Path) -> None:
    folder = tmp_path / "models--org--name" / "snapshots" / "5f"
    blobs = folder.parent.parent / "blobs"
    (folder / "sub").mkdir(parents=True)
    blobs.mkdir()
    for file in (folder / "sub" / "x", blobs / "c0ffee", tmp_path / "outside"):
        file.touch()
    (folder / "inside").symlink_to("sub/x")
    (folder / "blob").symlink_to("../../blobs/c0ffee")
    (folder / "out").symlink_to(tmp_path / "outside")
    for shard in ("inside", "blob", "sub/x"):
        path = written(folder, {"weight_map": {"a": shard}})
        assert shard_paths(read_index(path)) == [folder / shard]
    path = written(folder, {"weight_map": {"a": "out"}})
    with pytest.raises(UnsafeFileError, match="names 'out', which leads out of the folder"):
        shard_paths(read_index(path))


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "two.safetensors").touch()
    places = {**PLACES, **{str(i): f"{i}.safetensors" for i in range(7)}}
    with pytest.raises(DataError, match=r"'one\.safetensors' is missing; .*, and 4 more faults"):
        shard_paths(read_index(written(tmp_path, {"weight_map": places})))


@pytest.mark.parametrize(
    ("one", "two", "fault"),
    [
        ("ac", "ab", "tensor 'a' is in 'one.safetensors' and in 'two.safetensors'"),
        ("ac", "", "tensor 'b' is not in 'two.safetensors'"),
        ("acd", "b", "tensor 'd' is in 'one.safetensors', and not in the index"),
        ("a", "bc", "tensor 'c' is in 'two.safetensors', not in 'one.safetensors'"),
    ],
)
def test_files_that_hold_other_tensors_are_refused(
    one: str, two: str, fault: str, tmp_path: Path
) -> None:
    index = Index(tmp_path / "x.index.json", PLACES)
    check_shards(index, ["ac", "b"])
    with pytest.raises(DataError) as error:
        check_shards(index, [one, two])
    assert fault in str(error.value) and "x.index.json" in str(error.value)


def test_a_hundred_thousand_tensors_take_one_error(tmp_path: Path) -> None:
    places = {f"t{i}": "one" for i in range(100_000)}
    with pytest.raises(DataError, match="and 99996 more faults") as error:
        check_shards(Index(tmp_path / "i", places), [()])
    assert len(str(error.value)) < 500

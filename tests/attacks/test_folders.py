"""Folders of models that are not whole, mislead, or lead out of themselves; and odd sound ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from samples import FIRST, INDEX, SECOND, index, link, shard

Refused = Callable[..., str]
Merged = Callable[..., object]

MERGE = ("merge", "a", "b", "-o", "out")
OUTSIDE = "../../outside/model.safetensors"


def moved(folder: Path, name: str) -> None:
    index(folder, {**places_of(folder), "norm.weight": name})


def places_of(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / INDEX).read_text())["weight_map"]
    return found


def twice(folder: Path) -> None:
    both = {**load_file(folder / SECOND), "embed.weight": np.zeros((6, 4), "f4")}
    save_file(both, folder / SECOND)


SHARDS: dict[str, tuple[int, Callable[[Path], object], str]] = {
    "a shard is missing": (2, lambda f: (f / SECOND).unlink(), f"its file '{SECOND}' is missing"),
    "a shard is not in the index": (
        2,
        lambda f: save_file({"x": np.zeros(2)}, f / "model-00003-of-00002.safetensors"),
        "a part of a model that model.safetensors.index.json does not name",
    ),
    "a tensor in two shards": (2, twice, f"'embed.weight' is in '{FIRST}' and in '{SECOND}'"),
    "a tensor in another shard": (
        2,
        lambda f: moved(f, FIRST),
        f"tensor 'norm.weight' is in '{SECOND}', not in '{FIRST}'",
    ),
    "a tensor that the index lacks": (
        2,
        lambda f: index(f, {n: p for n, p in places_of(f).items() if n != "norm.weight"}),
        f"tensor 'norm.weight' is in '{SECOND}', and not in the index",
    ),
    "a tensor that no shard has": (
        2,
        lambda f: index(f, {**places_of(f), "more": FIRST}),
        f"tensor 'more' is not in '{FIRST}'",
    ),
    "a whole path": (4, lambda f: moved(f, str(f / SECOND)), "leads out of the folder"),
    "a path upwards": (4, lambda f: moved(f, OUTSIDE), f"it names '{OUTSIDE}', which leads out"),
    "up and down again": (4, lambda f: moved(f, f"../a/{SECOND}"), "leads out of the folder"),
    "a path of Windows": (4, lambda f: moved(f, r"..\..\outside\x.safetensors"), "leads out of"),
    "a disk of Windows": (4, lambda f: moved(f, r"C:\model.safetensors"), "leads out of"),
    "a share of Windows": (4, lambda f: moved(f, r"\\host\x\model.safetensors"), "leads out of"),
    "no name": (4, lambda f: moved(f, ""), "it names '', which leads out of the folder"),
    "a NUL byte": (4, lambda f: moved(f, f"{SECOND}\0.bin"), "leads out of the folder"),
    "the folder itself": (4, lambda f: moved(f, "."), "is not a plain file"),
    "the index itself": (4, lambda f: moved(f, INDEX), "is not a sound safetensors file"),
    "a name of 5000 letters": (2, lambda f: moved(f, "w" * 5000), ""),
    "a terminal's escape": (2, lambda f: moved(f, "\x1b]0;x\x07"), r"'\x1b]0;x\x07' is missing"),
    "a device": (4, lambda f: moved(f, "/dev/zero"), "it names '/dev/zero', which leads out"),
    "a link out": (
        4,
        lambda f: link(f / SECOND, OUTSIDE),
        f"it names '{SECOND}', which leads out of the folder",
    ),
    "a link to a link out": (
        4,
        lambda f: (link(f / "x", OUTSIDE), link(f / SECOND, "x")),
        f"it names '{SECOND}', which leads out of the folder",
    ),
    "a link to a device": (4, lambda f: link(f / SECOND, "/dev/zero"), "leads out of the folder"),
    "a link to nothing": (2, lambda f: link(f / SECOND, "nothing"), "there is no file"),
    "a link to itself": (2, lambda f: link(f / SECOND, SECOND), ""),
    "a folder that is a link out": (
        4,
        lambda f: (link(f / "x", "../../outside"), moved(f, "x/model.safetensors")),
        "it names 'x/model.safetensors', which leads out of the folder",
    ),
    "places that are a list": (2, lambda f: index(f, [FIRST]), "its weight_map is not a mapping"),
    "places that are numbers": (2, lambda f: index(f, {"w": 1}), "its weight_map is not a mapping"),
    "no places": (2, lambda f: index(f, {}), "its weight_map is empty"),
    "no weight_map": (2, lambda f: (f / INDEX).write_text("{}"), "weight_map is not a mapping"),
    "an index that is a list": (2, lambda f: (f / INDEX).write_text("[]"), "it is not a mapping"),
    "an index that is empty": (2, lambda f: (f / INDEX).write_text(""), "is not sound"),
    "an index of bytes": (2, lambda f: (f / INDEX).write_bytes(bytes(range(256))), "is not sound"),
    "a name twice in the index": (
        2,
        lambda f: (f / INDEX).write_text('{"weight_map": {"w": "a", "w": "b"}}'),
        "a name occurs twice",
    ),
    "an index that is nested": (
        2,
        lambda f: (f / INDEX).write_text('{"x":' * 2000 + "1" + "}" * 2000),
        "is nested",
    ),
    "an index that is a folder": (
        4,
        lambda f: ((f / INDEX).unlink(), (f / INDEX).mkdir()),
        "it is not a plain file",
    ),
    "an index that is a link out": (
        4,
        lambda f: link(f / INDEX, f"../../outside/{INDEX}"),
        "it is a link that leaves the folder",
    ),
    "no index": (2, lambda f: (f / INDEX).unlink(), "and no index of them"),
}


@pytest.mark.parametrize("case", SHARDS)
def test_a_sharded_model_that_is_not_what_its_index_says_is_refused(
    refused: Refused, work: Path, case: str
) -> None:
    code, spoil, fault = SHARDS[case]
    shard(work / "a")
    spoil(work / "a")
    block = refused(*MERGE, code=code)
    assert re.search(r"\ba(/| holds| is refused)", block) and fault in block, block
    assert "\n  help: " in block or "Too many levels" in block


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": a_pipe,
    "a folder": a_folder,
    "a socket": lambda path: (
        os.chdir(path.parent),
        a_socket(path),
        os.chdir(path.parent.parent),
    ),
    "a link to a device": lambda path: link(path, "/dev/zero"),
    "a link to a process": lambda path: link(path, "/proc/self/mem"),
    "a link out": lambda path: link(path, f"../../outside/{path.name}"),
}


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_file_of_the_folder_is_never_opened(
    refused: Refused, work: Path, kind: str, name: str
) -> None:
    KINDS[kind](work / "a" / name)
    block = refused(*MERGE, code=4)
    assert f"a/{name} is refused: it is " in block
    assert "not a plain file" in block or "a link that leaves the folder" in block


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/full", "pipe"])
def test_a_device_given_as_a_model_is_never_opened(
    refused: Refused, work: Path, place: str
) -> None:
    os.mkfifo(work / "pipe")
    assert f"{place} is refused: it is not a plain file" in refused(
        "merge", place, "b", "-o", "out", code=4
    )


CONFIGS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not sound"),
    "cut": (b'{"model_type": "ti', "is not sound"),
    "a list": (b"[]", "it is not a mapping"),
    "NaN": (b'{"x": NaN}', "NaN is no JSON"),
    "a key twice": (b'{"x": 1, "x": 2}', "a name occurs twice"),
    "not UTF-8": (b'{"x": "\xff"}', "is not sound"),
    "2000 nested lists": (b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}", "nested"),
    "90 000 nested lists": (b'{"x":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "nested"),
    "17 MB": (b'{"x": "' + b"x" * 17_000_000 + b'"}', "it has 17 000 009 bytes, more than"),
    "a number of 5000 digits": (b'{"x": ' + b"9" * 5000 + b"}", "is not sound"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_that_is_damaged_is_refused(refused: Refused, work: Path, case: str) -> None:
    data, fault = CONFIGS[case]
    (work / "a/config.json").write_bytes(data)
    block = refused(*MERGE)
    assert "a/config.json is not sound" in block and fault in block


PICKLES = {
    "runs": b"cos\nsystem\n(S'touch canary'\ntR.",
    "runs, in the newest form": b"\x80\x04\x8c\x05posix\x8c\x06system\x93"
    b"\x8c\x0ctouch canary\x85R.",
    "is safetensors": bytes([2, *bytes(7)]) + b"{}",
    "is a text": b"weights",
    "is empty": b"",
}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "x.pth"])
@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_is_refused_and_never_run(
    refused: Refused, work: Path, case: str, name: str
) -> None:
    (work / "a/model.safetensors").unlink()
    (work / "a" / name).write_bytes(PICKLES[case])
    block = refused(*MERGE, code=2 if case == "is safetensors" else 4)
    assert f"a/{name} is " in block and "\n  help: " in block
    assert "runs" not in case or "system" in block
    assert not (work / "canary").exists()


LACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda f: shutil.rmtree(f) or f.mkdir(), "a holds no weights"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "a holds no weights"),
    "gone": (shutil.rmtree, "there is no model 'a'"),
    "two models": (
        lambda f: [
            (f / "model.safetensors").rename(f / "x.safetensors"),
            shutil.copy(f / "x.safetensors", f / "y.safetensors"),
        ],
        "a holds 2 models: x.safetensors, y.safetensors",
    ),
    "an adapter": (
        lambda f: (f / "model.safetensors").rename(f / "adapter_model.safetensors"),
        "a holds an adapter, adapter_model.safetensors, and no model",
    ),
    "no tensors": (lambda f: save_file({}, f / "model.safetensors"), "a has no tensors"),
    "a link to itself": (lambda f: (shutil.rmtree(f), f.symlink_to("a")), "a"),
}


@pytest.mark.parametrize("case", LACKS)
def test_a_folder_without_one_whole_model_is_refused(
    refused: Refused, work: Path, case: str
) -> None:
    spoil, fault = LACKS[case]
    spoil(work / "a")
    block = refused(*MERGE)
    assert fault in block and "\n  help: " in block


def test_what_lies_outside_is_neither_read_nor_told(refused: Refused, work: Path) -> None:
    canary = work.parent / "outside/model.safetensors"
    a_pipe(canary)  # to open it would wait for ever
    shard(work / "a")
    for spoil in (SHARDS["a path upwards"], SHARDS["a link out"], SHARDS["a link to a link out"]):
        spoil[1](work / "a")
        refused(*MERGE, code=4)


def test_side_files_that_lead_out_are_left_out_and_said(merged: Merged, work: Path) -> None:
    (work.parent / "outside/secret.txt").write_text("canary")
    os.mkfifo(work / "a/LICENSE")
    (work / "a/tokenizer.json").symlink_to("../../outside/secret.txt")
    (work / "a/merges.txt").symlink_to("/dev/zero")
    (work / "a/1_Pool").symlink_to("../../outside")
    done = merged(*MERGE)
    made = sorted(path.name for path in (work / "out").iterdir())
    assert made == ["README.md", "config.json", "model.safetensors", "run.json"]
    for name in ("LICENSE", "tokenizer.json", "merges.txt", "1_Pool/config.json"):
        assert f"a/{name} is not copied" in getattr(done, "err", "")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "\udc80"])
def test_a_name_that_would_spoil_the_screen_is_refused(
    refused: Refused, work: Path, name: str
) -> None:
    (work / "a").rename(work / name)
    block = refused("merge", name, "b", "-o", "out")
    assert "is no path that can be printed" in block and block.isascii() and "\x1b" not in block


def test_names_of_tensors_cannot_steer_the_screen(refused: Refused, work: Path) -> None:
    name = "\x1b]0;x\x07" + "w" * 10_000 + "\u202e"
    save_file({name: np.ones(2, "f4")}, work / "a/model.safetensors")
    block = refused(*MERGE, code=3)
    assert "only a has \\x1b]0;x\\x07www" in block and "\\u202e" in block

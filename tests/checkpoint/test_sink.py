from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from alnico.checkpoint import sink as sink_module
from alnico.checkpoint.journal import Journal, read_journal
from alnico.checkpoint.shards import Out, in_shards
from alnico.checkpoint.sink import Sink, create
from alnico.errors import OutputError

TENSORS = {
    "wide": np.random.default_rng(0).normal(size=(40, 50)),
    "half": np.random.default_rng(1).normal(size=(33, 7)).astype(np.float16),
    "mask": np.arange(11) % 3 == 0,
    "phase": np.full((3, 2), 1 - 2j, np.complex64),
    "scalar": np.array(7, np.int32),
    "none": np.zeros((0, 4), np.float32),
}
NAMES = {"d": "F64", "e": "F16", "?": "BOOL", "F": "C64", "i": "I32", "f": "F32"}
OUTS = [Out(name, NAMES[x.dtype.char], x.shape) for name, x in TENSORS.items()]


def new_sink(folder: Path, shard_bytes: int = 1000) -> Sink:
    files = in_shards(OUTS, {}, shard_bytes)
    for file in files:
        create(folder / file.name, file)
    return Sink(Path("out"), folder, files, Journal(folder / "journal", "key", {}), {})


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    made = new_sink(tmp_path)
    yield made
    made.close()


def load(sink: Sink) -> dict[str, np.ndarray]:
    return {name: x for path in sink.files for name, x in load_file(path).items()}


@pytest.mark.parametrize("as_bytes", [False, True])
def test_blocks_in_any_order_from_many_threads_are_the_tensors(
    as_bytes: bool, sink: Sink, tmp_path: Path
) -> None:
    blocks = [(n, start) for n, x in TENSORS.items() for start in range(0, x.size, 7)]
    random.Random(0).shuffle(blocks)

    def put(block: tuple[str, int]) -> None:
        name, start = block
        values = TENSORS[name].reshape(-1)[start : start + 7]
        sink.put(name, start, values.view(np.uint8) if as_bytes else values)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, blocks))
        list(pool.map(lambda name: sink.finish(name, name.upper()), TENSORS))
    sink.check_complete()
    assert read_journal(tmp_path / "journal") == ("key", dict(sink.done))
    assert sink.done == {name: name.upper() for name in TENSORS}
    assert len(sink.files) == 2
    for name, found in load(sink).items():
        np.testing.assert_array_equal(found, TENSORS[name], strict=True)


def test_one_file_has_the_bytes_that_the_library_writes(tmp_path: Path) -> None:
    sink = new_sink(tmp_path, 10**9)
    for name, values in TENSORS.items():
        sink.put(name, 0, values)
    sink.close()
    save_file(TENSORS, tmp_path / "theirs")
    assert sink.files[0].stat().st_size == (tmp_path / "theirs").stat().st_size
    np.testing.assert_equal(load_file(sink.files[0]), load_file(tmp_path / "theirs"))


def test_what_was_put_is_read_back_before_the_end(sink: Sink) -> None:
    sink.put("wide", 100, TENSORS["wide"][2:4])
    found = np.empty((2, 25))
    sink.read("wide", 125, 175, found)
    np.testing.assert_array_equal(found, TENSORS["wide"].reshape(-1)[125:175].reshape(2, 25))
    with pytest.raises(OutputError, match="must be contiguous"):
        sink.read("wide", 0, 6, np.empty((2, 6))[:, ::2])
    with pytest.raises(OutputError, match="40 bytes are not its entries 0 to 6"):
        sink.read("wide", 0, 6, np.empty(5))


def test_strides_and_byte_order_are_put_right(sink: Sink) -> None:
    sink.put("wide", 0, np.asfortranarray(TENSORS["wide"]).astype(">f8"))
    found = np.empty((40, 50))
    sink.read("wide", 0, 2000, found)
    np.testing.assert_array_equal(found, TENSORS["wide"])


@pytest.mark.parametrize(
    ("start", "block"),
    [(-1, np.zeros(1)), (1999, np.zeros(2)), (0, np.zeros(9, np.uint8)), (2001, np.zeros(0))],
)
def test_no_block_reaches_beyond_its_tensor(start: int, block: np.ndarray, sink: Sink) -> None:
    before = [path.read_bytes() for path in sink.files]
    with pytest.raises(OutputError, match=r"wide: \d+ bytes are not its entries"):
        sink.put("wide", start, block)
    assert [path.read_bytes() for path in sink.files] == before


def test_a_tensor_with_a_hole_is_not_finished(sink: Sink, tmp_path: Path) -> None:
    sink.put("half", 0, TENSORS["half"][:32])
    with pytest.raises(
        OutputError, match="half is not finished: 448 bytes were written, and it has 462"
    ):
        sink.finish("half", "x")
    assert read_journal(tmp_path / "journal") == ("key", {})
    with pytest.raises(
        OutputError, match="out is not complete: 6 of 6 tensors were never finished, 'wide'"
    ):
        sink.check_complete()


def test_a_shard_is_closed_with_its_last_tensor(sink: Sink) -> None:
    def n_open() -> int:
        return len(sink._opened)

    sink.put("half", 0, TENSORS["half"])
    sink.put("wide", 0, TENSORS["wide"])
    assert n_open() == 2
    sink.finish("wide", "x")
    assert n_open() == 1
    sink.close()
    assert n_open() == 0


def test_short_writes_go_on_where_they_ended(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(
        sink_module.os, "pwrite", lambda opened, data, at: pwrite(opened, data[:999], at)
    )
    sink.put("wide", 0, TENSORS["wide"])
    found = np.empty((40, 50))
    sink.read("wide", 0, 2000, found)
    np.testing.assert_array_equal(found, TENSORS["wide"])


def test_a_file_takes_its_room_on_the_disk_before_the_first_block(tmp_path: Path) -> None:
    outs = [Out("a", "U8", (10**6,))]
    (file,) = in_shards(outs, {})
    create(tmp_path / "x", file)
    assert (tmp_path / "x").stat().st_size == file.n_bytes
    assert (tmp_path / "x").stat().st_blocks * 512 >= 10**6
    with pytest.raises(FileExistsError):
        create(tmp_path / "x", file)


@pytest.mark.parametrize("number", [None, errno.EOPNOTSUPP])
def test_a_system_that_cannot_reserve_room_is_served(
    number: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if number is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:

        def refuse(*_: object) -> None:
            raise OSError(number, "no")

        monkeypatch.setattr(os, "posix_fallocate", refuse)
    (file,) = in_shards([Out("a", "U8", (3,))], {})
    create(tmp_path / "x", file)
    np.testing.assert_equal(load_file(tmp_path / "x"), {"a": np.zeros(3, np.uint8)})

"""What happens around a merge: full disks, other writers, signals, files that change under it."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from alnico.checkpoint.partial import holding
from alnico.checkpoint.sink import Sink
from alnico.recipe import opening

Refused = Callable[..., str]
Merged = Callable[..., Any]
Apart = Callable[..., Any]
Command = Callable[..., Any]
Left = Callable[[], list[str]]

MERGE = ("merge", "a", "b", "-o", "out")
COMMAND = (sys.executable, "-c", "import sys; from alnico.cli.app import main; sys.exit(main())")
SHAPES = 6
SIZE = 400  # bytes of the tensors of a model
_OVERRIDES = (1 << 1) | (1 << 2)  # to read and write whatever the modes of files say


def made(work: Path, name: str = "out") -> dict[str, bytes]:
    """The files of a model, but for the record, which holds the time."""
    return {
        path.name: path.read_bytes() for path in (work / name).iterdir() if path.suffix != ".json"
    }


@pytest.fixture
def whole(merged: Merged, work: Path) -> dict[str, bytes]:
    """What the merge gives when nothing stops it."""
    merged(*MERGE)
    found = made(work)
    shutil.rmtree(work / "out")
    return found


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Bind this thread to the modes of files, even where it is root's."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, held) != 0:
        pytest.skip("the capabilities of this thread cannot be read")
    fewer = (ctypes.c_uint32 * 6)(*held)
    fewer[0] &= ~_OVERRIDES
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0


def spoiling(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[], object], *, after: int) -> None:
    """Let something happen once so many tensors are merged."""
    finish, n = Sink.finish, 0

    def finish_then(self: Sink, name: str, digest: str) -> None:
        nonlocal n
        finish(self, name, digest)
        n += 1
        if n == after:
            spoil()

    monkeypatch.setattr(Sink, "finish", finish_then)


# what may not be read or written


@pytest.mark.parametrize("name", ["a/model.safetensors", "a/config.json", "a/tokenizer.json"])
def test_an_input_that_may_not_be_read_is_named(
    left: Left, command: Command, work: Path, name: str
) -> None:
    (work / name).touch()
    (work / name).chmod(0)
    with bound_by_modes():
        done = command(*MERGE)
    assert done.code == 2 and f"{name} cannot be read: Permission denied" in done.err
    assert left() == ["a", "b", "base"]


@pytest.mark.parametrize("place", ["out", "out.safetensors"])
def test_a_folder_that_may_not_be_written_to_is_named(
    refused: Refused, work: Path, place: str
) -> None:
    (work / "kept").mkdir(mode=0o500)
    with bound_by_modes():
        block = refused("merge", "a", "b", "-o", f"kept/{place}")
    assert "cannot be written: no permission to write in kept" in block


def test_a_disk_without_room_is_known_before_anything_is_written(
    refused: Refused, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(work)._replace(free=SIZE - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "out needs 400 bytes, and 399 are free" in refused(*MERGE)


FULL = {
    "as its files are made": (os, "posix_fallocate", 1),
    "at the first tensor": (os, "pwrite", 2),  # the header is the first that is written
    "at the last tensor": (os, "pwrite", 7),
    "as it is synced": (os, "fsync", 1),
    "as the card is written": (Path, "write_text", 2),
    "as a side file is copied": (shutil, "copyfileobj", 1),
    "as it is put into its place": (Path, "rename", 1),
}


@pytest.mark.parametrize("case", FULL)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=errno.errorcode.get)
def test_a_disk_that_is_full_leaves_nothing_behind(
    refused: Refused, work: Path, monkeypatch: pytest.MonkeyPatch, case: str, code: int
) -> None:
    (work / "a/LICENSE").write_text("as is")
    where, name, at = FULL[case]
    function, n = getattr(where, name), 0

    def failing(*arguments: object, **words: object) -> object:
        nonlocal n
        n += 1
        if n == at:
            raise OSError(code, os.strerror(code))
        return function(*arguments, **words)

    monkeypatch.setattr(where, name, failing)
    block = refused(*MERGE)
    assert n >= at and "cannot be written: " in block
    assert ("the disk is full" if code != errno.EIO else "Input/output error") in block


# files that change while they are read

CHANGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, 500),
    "cut to nothing": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "written to": lambda path: path.write_bytes(path.read_bytes()[:-4] + b"more"),
    "touched": lambda path: os.utime(path, (1, 1)),
    "removed": lambda path: path.unlink(),
    "put in its place": lambda path: (
        path.with_name("x").write_bytes(path.read_bytes()),
        path.with_name("x").replace(path),
    ),
    "a pipe now": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("case", CHANGES)
@pytest.mark.parametrize("after", [1, SHAPES])
def test_a_file_that_changes_while_it_is_read_is_named_and_nothing_is_written(
    left: Left, command: Command, work: Path, monkeypatch: pytest.MonkeyPatch, case: str, after: int
) -> None:
    path = work / "b/model.safetensors"
    spoiling(monkeypatch, lambda: CHANGES[case](path), after=after)
    done = command(*MERGE)
    assert done.code == 2 and "Traceback" not in done.err
    assert "b/model.safetensors was c" in done.err  # cut, or changed
    assert left() == ["a", "b", "base"]


def test_a_file_that_is_cut_on_the_disk_is_no_bus_error(apart: Apart, work: Path) -> None:
    first = (
        "from alnico.merging import saving\n"
        "import os\n"
        "execute = saving.execute\n"
        "def cut(*words): os.truncate('b/model.safetensors', 600); return execute(*words)\n"
        "saving.execute = cut\n"
    )
    done = apart(*MERGE, first=first)
    assert done.code == 2 and "b/model.safetensors was cut while it was read" in done.err


def test_an_output_that_appears_meanwhile_is_left_to_its_writer(
    left: Left, command: Command, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiling(monkeypatch, lambda: shutil.copytree("base", "out"), after=2)
    done = command(*MERGE)
    assert done.code == 2 and "out is there already" in done.err
    assert made(work) == made(work, "base")
    assert left() == ["a", "b", "base", "out"]


# other writers, signals, limits


def test_two_writers_do_not_meet(command: Command, work: Path) -> None:
    with holding(Path("out")):
        done = command(*MERGE)
    assert done.code == 2 and "out is being written by another process" in done.err
    assert command(*MERGE).code == 0


@pytest.mark.slow
def test_of_two_writers_at_once_one_wins_and_one_is_told(
    left: Left, work: Path, whole: object
) -> None:
    start = [*COMMAND, *MERGE]
    both = [subprocess.Popen(start, stderr=subprocess.PIPE, text=True, cwd=work) for _ in range(2)]
    ended = sorted((process.wait(60), process.communicate()[1]) for process in both)
    assert [code for code, _ in ended] == [0, 2]
    assert "is being written by another" in ended[1][1] or "is there already" in ended[1][1]
    assert made(work) == whole and left() == ["a", "b", "base", "out"]


KILLED = {  # a call that never ends, and what is there then
    "at the second tensor": ("Sink, 'finish'", 2, False),
    "before it is checked": ("Sink, 'check_complete'", 1, False),
    "before it is moved": ("Path, 'rename'", 1, False),
    "once it is moved": ("output, 'sync_folder'", 1, True),
}
KILL = """
import os, signal
from pathlib import Path
from alnico.checkpoint import output
from alnico.checkpoint.sink import Sink
from alnico.recipe import opening
calls = 0
def kill_at(where, name, at):
    function = getattr(where, name)
    def killing(*words, **more):
        global calls
        calls += 1
        if calls == at:
            {how}
        return function(*words, **more)
    setattr(where, name, killing)
kill_at({where}, {at})
"""
DIES = "os.kill(os.getpid(), signal.SIGKILL)"
TWICE = "os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.parametrize("case", KILLED)
def test_after_a_kill_there_is_nothing_or_all_and_it_goes_on(
    left: Left, apart: Apart, command: Command, whole: dict[str, bytes], work: Path, case: str
) -> None:
    where, at, is_there = KILLED[case]
    inputs = {name: made(work, name) for name in ("a", "b")}
    done = apart(*MERGE, first=KILL.format(where=where, at=at, how=DIES))
    assert done.code == -signal.SIGKILL
    assert (work / "out").exists() is is_there
    assert is_there or command(*MERGE, "--resume").code == 0
    assert made(work) == whole
    assert {name: made(work, name) for name in inputs} == inputs
    if not is_there:
        assert left() == ["a", "b", "base", "out"]


def test_a_kill_while_one_model_replaces_another_leaves_one_of_them(
    left: Left, apart: Apart, command: Command, merged: Merged, whole: dict[str, bytes], work: Path
) -> None:
    merged("merge", "base", "b", "-o", "out")
    old = made(work)
    first = KILL.format(where="Path, 'rename'", at=2, how=DIES)
    assert apart(*MERGE, "--force", first=first).code == -signal.SIGKILL
    kept = work / "out" if (work / "out").exists() else work / ".out.partial/old"
    assert made(work, str(kept)) == old
    assert command(*MERGE, "--force").code == 0 and made(work) == whole
    assert left() == ["a", "b", "base", "out"]


@pytest.mark.parametrize("case", ["Sink, 'finish'", "output, '_leave'", "Path, 'rename'"])
def test_ctrl_c_twice_ends_it_in_peace(
    apart: Apart, command: Command, whole: dict[str, bytes], work: Path, case: str
) -> None:
    first = KILL.format(where=case, at=1 if "Sink" not in case else 2, how=TWICE)
    if "_leave" in case:
        first += KILL.format(where="Sink, 'finish'", at=3, how=TWICE).replace("calls", "others")
    done = apart(*MERGE, first=first)
    assert done.code == 130 and "Traceback" not in done.err
    assert "interrupted" in done.err
    assert not (work / "out").exists()
    assert command(*MERGE, "--resume").code == 0 and made(work) == whole


@pytest.mark.parametrize("words", ["", "--base base --method ties"])
def test_small_models_merge_within_8_gib_of_address_space_and_little_memory(
    apart: Apart, work: Path, words: str
) -> None:
    done = apart(*MERGE, *words.split())
    assert done.code == 0, done.err
    assert done.peak < 300 * 2**20


@pytest.mark.slow
def test_a_pickle_is_converted_within_8_gib_of_address_space(apart: Apart, work: Path) -> None:
    torch.save(load_file("a/model.safetensors"), "a/pytorch_model.bin")
    (work / "a/model.safetensors").unlink()
    done = apart(*MERGE)
    assert done.code == 0, done.err


def test_a_largest_file_of_a_kilobyte_is_a_clear_error(
    left: Left, apart: Apart, work: Path
) -> None:
    done = apart(*MERGE, file=512)
    assert done.code == 2 and "out cannot be written: File too large" in done.err
    assert left() == ["a", "b", "base"]


def test_too_little_memory_for_a_tensor_is_a_clear_error(
    left: Left, apart: Apart, work: Path
) -> None:
    n = 2**28
    for name in ("a", "b"):
        entry = {"dtype": "I64", "shape": [n], "data_offsets": [0, 8 * n]}
        header = json.dumps({"bn.num_batches_tracked": entry}).encode()
        path = work / name / "model.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        os.truncate(path, 8 + len(header) + 8 * n)
    first = "import os; os.posix_fallocate = lambda *_: os.ftruncate(_[0], _[2])"
    done = apart(*MERGE, memory=2**30, file=2**40, first=first)
    assert done.code == 2, done.err
    assert "bn.num_batches_tracked needs more memory than there is" in done.err
    assert left() == ["a", "b", "base"]


def test_memory_that_runs_out_elsewhere_is_no_fault_of_ours(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(opening, "open_checkpoint", fails)
    assert "there is not enough memory for this\n  help: end other processes" in refused(*MERGE)

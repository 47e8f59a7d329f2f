from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from alnico import progress
from alnico.checkpoint.output import new_model
from alnico.checkpoint.partial import Partial, holding
from alnico.checkpoint.shards import Out
from alnico.errors import OutputError

WRITE = """
import hashlib, json, os, signal, sys
from pathlib import Path
import numpy as np
from alnico.checkpoint.output import Out, new_model

def write(place, value, **options):
    outs = [Out(f"t{i}", "F32", (5,)) for i in range(3)]
    shard_bytes = None if place.suffix else 45
    with new_model(place, outs, key=str(value), shard_bytes=shard_bytes, **options) as sink:
        for out in outs:
            if out.name not in sink.done:
                for start, stop in [(3, 5), (0, 3)]:
                    sink.put(out.name, start, np.full(stop - start, value, np.float32))
                sink.finish(out.name, "x")
        (sink.folder / "run.json").write_text(str(value))

def seen(folder):
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(found.items())}
"""

KILL = (
    WRITE
    + """
def die_at(n):
    left = [n]
    for owner, name in [
        (os, "mkdir"), (os, "posix_fallocate"), (os, "pwrite"), (os, "write"), (os, "fsync"),
        (os, "rename"), (os, "replace"), (os, "link"), (os, "unlink"), (os, "rmdir"),
    ]:
        def call(*args, real=getattr(owner, name), **kwargs):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*args, **kwargs)
        setattr(owner, name, call)

def killed(n, place, force):
    child = os.fork()
    if not child:
        die_at(n)
        write(place, 2, force=force)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL

root, name, force = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True"
found = []
while True:
    folder = root / str(len(found))
    folder.mkdir()
    if force:
        write(folder / name, 1)
    was_killed = killed(len(found), folder / name, force)
    left = seen(folder)
    is_there = (folder / name).exists()
    if is_there and not was_killed:
        break
    write(folder / name, 2, resume=True, force=force or is_there)
    found.append([left, seen(folder)])
once = root / "once"
once.mkdir()
write(once / name, 1)
old = seen(once)
write(once / name, 2, force=True)
print(json.dumps([old, seen(once), found]))
"""
)


def run(code: str, *args: object) -> str:
    line = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["model", "model.safetensors"])
def test_a_writer_killed_at_any_call_leaves_old_or_new_and_another_goes_on(
    name: str, force: bool, tmp_path: Path
) -> None:
    old, new, found = json.loads(run(KILL, tmp_path, name, force))
    record = "model.run.json"
    allowed = [new, old if force else {}]
    if name == "model.safetensors":  # between two renames there is a model without a record
        allowed += [{k: v for k, v in state.items() if k != record} for state in allowed]
    elif force:  # between two renames the old folder lies in the hidden one, and comes back
        allowed.append({})
    n_between = 0
    for left, resumed in found:
        visible = {k: v for k, v in left.items() if not k.startswith(".")}
        assert visible in allowed
        if force and not visible:
            n_between += 1
            kept = {k.replace(".model.partial/old/", "model/"): v for k, v in left.items()}
            assert kept.items() >= old.items()
        assert resumed == new
    assert len(found) > 20
    assert n_between == (1 if force and name == "model" else 0)


def test_an_old_folder_comes_back_if_its_writer_was_killed_between_two_renames(
    tmp_path: Path,
) -> None:
    place = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt), new_model(place, [Out("a", "U8", (0,))], key="") as sink:
        sink.finish("a", "")
        raise KeyboardInterrupt
    (tmp_path / ".model.partial" / "old").mkdir()
    (tmp_path / ".model.partial" / "old" / "a.safetensors").write_text("old")
    with pytest.raises(OutputError, match="is there already"), new_model(place, [], key=""):
        pass
    assert (place / "a.safetensors").read_text() == "old"


def test_an_old_record_comes_back_to_its_model_but_not_to_a_new_one(tmp_path: Path) -> None:
    place, record = tmp_path / "x.safetensors", tmp_path / "x.run.json"
    partial = Partial(place)
    for new_is_in_place in (False, True):
        for folder in (partial.model, partial.old):
            folder.mkdir(parents=True, exist_ok=True)
        (partial.folder / "lock").write_text("")
        (partial.old / "run.json").write_text("old")
        place.write_text("a model")
        if not new_is_in_place:
            (partial.model / place.name).write_text("new")
        with (
            pytest.raises(RuntimeError),
            new_model(place, [], key="", force=True),
        ):
            raise RuntimeError
        assert record.exists() is not new_is_in_place
        assert place.read_text() == "a model" and not partial.folder.exists()
        record.unlink(missing_ok=True)


def test_a_second_writer_is_turned_away_at_once_and_the_first_one_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "model"
    code = WRITE + (
        "with new_model(Path(sys.argv[1]), [Out('a', 'U8', (0,))], key='') as sink:\n"
        "    sink.finish('a', '')\n"
        "    print('begun', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, place], stdin=pipe, stdout=pipe) as first:
        assert first.stdout is not None and first.stdout.readline() == b"begun\n"
        started = time.monotonic()
        for resume in (False, True):
            with (
                pytest.raises(OutputError, match=r"is being written by another process.*\.partial"),
                new_model(place, [], key="", resume=resume, force=True),
            ):
                pass
        assert time.monotonic() - started < 1
        first.communicate()
    assert first.returncode == 0
    assert sorted(path.name for path in place.iterdir()) == ["model.safetensors"]
    assert list(tmp_path.iterdir()) == [place]


def test_what_a_dead_writer_holds_is_free(tmp_path: Path) -> None:
    place = tmp_path / "model"
    code = WRITE + (
        "with new_model(Path(sys.argv[1]), [Out('a', 'U8', (0,))], key='') as sink:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, place]).returncode == -signal.SIGKILL
    texts: list[str] = []
    with (
        progress.listen(lambda event: texts.append(event.phase.text)),
        new_model(place, [], key=""),
    ):
        pass
    assert texts == [f"removed what an interrupted merge had left in {tmp_path}/.model.partial"]
    assert list(tmp_path.iterdir()) == [place]


def test_threads_of_one_process_keep_each_other_out(tmp_path: Path) -> None:
    errors: list[OutputError] = []

    def second() -> None:
        try:
            with holding(tmp_path / "model"):
                pass
        except OutputError as error:
            errors.append(error)

    with holding(tmp_path / "model"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    second()
    assert len(errors) == 1 and list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / ".model.partial"

    def refused() -> None:
        with (
            pytest.raises(OutputError, match=r"is there already and is not an unfinished merge"),
            new_model(tmp_path / "model", [], key=""),
        ):
            pass

    folder.write_text("mine")
    refused()
    folder.unlink()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    refused()
    folder.unlink()
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    refused()
    assert (folder / "letter.txt").read_text() == "mine"
    (folder / "letter.txt").unlink()
    with new_model(tmp_path / "model", [], key=""):
        pass
    assert not folder.exists()


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    place = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt), new_model(place, [Out("a", "U8", (0,))], key="") as sink:
        sink.finish("a", "")
        raise KeyboardInterrupt
    (tmp_path / ".model.partial" / "journal").write_text("{\n")
    with (
        pytest.raises(OutputError, match=r"journal was changed.*\n  help: start anew without"),
        new_model(place, [], key="", resume=True),
    ):
        pass

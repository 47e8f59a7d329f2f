"""A folder of small models to spoil, and the command, which must refuse them and change nothing."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from alnico.cli.app import main

GIB = 2**30
SECONDS = 5
SHAPES = {
    "embed.weight": (6, 4),
    **{f"layers.{n}.mlp.weight": (4, 4) for n in range(3)},
    "norm.weight": (4,),
    "head.weight": (6, 4),
}
CONFIG = {
    "model_type": "tiny",
    "dtype": "float32",
    "num_hidden_layers": 3,
    "hidden_size": 4,
    "vocab_size": 6,
}
START = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
from alnico.cli.app import main
exec(sys.argv[3])
code = main(sys.argv[4:])
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
sys.exit(code)
"""


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, what it wrote, and its most memory if that was taken."""

    code: int
    out: str
    err: str
    peak: int = 0


Snapshot = Mapping[str, tuple[int, bytes | str | None]]


def snapshot(folder: Path) -> Snapshot:
    """Everything below a folder: its kind and mode, and what a file holds or a link says."""
    found: dict[str, tuple[int, bytes | str | None]] = {}
    for path in folder.rglob("*"):
        mode, content = path.lstat().st_mode, None
        if stat.S_ISLNK(mode):
            content = str(path.readlink())
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = mode, content
    return found


@contextmanager
def room(n_bytes: int) -> Iterator[None]:
    """Let this process and its children have so many more bytes of address space."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def spent() -> float:
    """Seconds of processor time of this process and of its children that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the models `a`, `b` and `base` in it and `outside` beside it."""
    work = tmp_path / "work"
    work.mkdir()
    for seed, name in enumerate(("work/a", "work/b", "work/base", "outside")):
        folder = tmp_path / name
        folder.mkdir()
        draw = np.random.default_rng(seed)
        state = {key: draw.normal(size=shape).astype("f4") for key, shape in SHAPES.items()}
        save_file(state, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def left(work: Path) -> Callable[[], list[str]]:
    """The names in the current folder."""
    return lambda: sorted(path.name for path in work.iterdir())


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call `alnico` in this process, with some words."""

    def call(*words: object) -> Done:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def refused(command: Callable[..., Done], work: Path) -> Callable[..., str]:
    """Call `alnico`, which must refuse in one block, soon, in 1 GiB, and leave all as it was.

    Gives the block, and takes the exit code that is expected.
    """

    def call(*words: object, code: int = 2) -> str:
        before, began = snapshot(work.parent), spent()
        with room(GIB):
            done = command(*words)
        assert spent() - began < SECONDS
        assert done.code == code, done.err
        assert done.err.count("error[") == 1 and "Traceback" not in done.err, done.err
        assert snapshot(work.parent) == before, "a refused command changed files"
        block = done.err[done.err.index("error[") :]
        assert len(block) < 4000
        return block

    return call


@pytest.fixture
def merged(command: Callable[..., Done], work: Path) -> Callable[..., Done]:
    """Call `alnico`, which must succeed and leave its inputs as they were."""

    def call(*words: object) -> Done:
        before = snapshot(work.parent)
        done = command(*words)
        assert done.code == 0, done.err
        after = snapshot(work.parent)
        assert {name: after.get(name) for name in before} == before, "an input was changed"
        assert not [name for name in after if ".partial" in name or ".old" in name]
        return done

    return call


@pytest.fixture
def apart(work: Path) -> Callable[..., Done]:
    """Call `alnico` in a process of its own: so much memory, such files, and first such code."""

    def call(*words: object, memory: int = 8 * GIB, file: int = GIB, first: str = "") -> Done:
        arguments = [str(word) for word in (memory, file, first, *words)]
        done = subprocess.run(
            [sys.executable, "-c", START, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=work,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        *out, peak = done.stdout.splitlines() or ["0"]
        return Done(done.returncode, "\n".join(out), done.stderr, int(peak) * 1024)

    return call

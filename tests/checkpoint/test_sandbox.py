"""Children that ask for too much; what they run is written into the test's own folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from alnico.checkpoint import sandbox
from alnico.checkpoint.sandbox import Limits, run_module

HEAD = "from alnico.checkpoint.sandbox import Limits\nLimits(2**26, 1000, 1).apply()\n"


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "child_of_a_test.py"


def run(child: Path, code: str, *arguments: str, seconds: int = 20) -> str | None:
    child.write_text(code)
    return run_module(child.stem, arguments, seconds=seconds)


def test_a_child_that_ends_well_says_nothing(child: Path) -> None:
    code = "import sys\nopen(sys.argv[1], 'x').write(sys.stdin.read() + 'done')\nprint('much')"
    assert run(child, HEAD + code, str(child.parent / "out")) is None
    assert (child.parent / "out").read_text() == "done"


def test_the_last_line_of_an_error_is_handed_on(child: Path) -> None:
    assert run(child, "def f():\n  raise ValueError('no tensor x')\nf()") == (
        "ValueError: no tensor x"
    )
    assert run(child, "raise SystemExit(3)") == "no reason given"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("x = bytearray(2**28)", "MemoryError"),
        ("while True: pass", "it took too long"),
        ("f = open(__file__ + 'x', 'wb', 0)\nf.write(bytes(2000))\nf.write(b'x')", "too large"),
        ("x = [open(__file__) for _ in range(99)]", "Too many open files"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGBUS)", "was cut while it was read"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "it was killed"),
    ],
)
def test_a_child_that_asks_for_too_much_ends(child: Path, code: str, why: str) -> None:
    found = run(child, HEAD + code)
    assert found is not None and why in found


def test_a_child_that_waits_is_killed_with_its_own_children(
    child: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_SECONDS_TO_START", 1)
    code = (
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen(['sleep', '60'])\n"
        "open(sys.argv[1], 'w').write(str(inner.pid))\ntime.sleep(60)"
    )
    began = time.monotonic()
    assert run(child, code, str(child.parent / "pid"), seconds=1) == "it took too long"
    assert time.monotonic() - began < 10
    inner = Path("/proc") / (child.parent / "pid").read_text() / "stat"
    for _ in range(50):
        if not inner.exists() or inner.read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the child's child is still there")


def test_modules_of_the_folder_it_starts_in_are_not_taken(
    child: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = child.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("raise SystemError('it was run')")
    monkeypatch.chdir(elsewhere)
    assert run(child, "import json, os\nassert os.environ['CUDA_VISIBLE_DEVICES'] == ''") is None


def test_limits_are_never_raised(child: Path) -> None:
    code = (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        + HEAD
        + "assert resource.getrlimit(resource.RLIMIT_FSIZE) == (500, 500)\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)"
    )
    assert run(child, code) is None


def test_limits_are_plain_numbers() -> None:
    assert Limits(1, 2, 3) == Limits(memory=1, file=2, seconds=3) and os.name == "posix"

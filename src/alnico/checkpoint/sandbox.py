"""A child process with limits, for what is safer done where it can harm nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_OPEN_FILES = 64
_SECONDS_TO_START = 120  # on a slow disk, torch takes long to import
_SIGNALS = {
    signal.SIGBUS: "the file was cut while it was read",
    signal.SIGXCPU: "it took too long",
    signal.SIGXFSZ: "it wrote more than it may",
    signal.SIGKILL: "it was killed, as when memory runs out",
}


@dataclass(frozen=True)
class Limits:
    """What a process may use from now on.

    Args:
        memory: Bytes of address space beyond what it has, mapped files included.
        file: Bytes of the largest file that it writes.
        seconds: Of processor time.
    """

    memory: int
    file: int
    seconds: int

    def apply(self) -> None:
        """Limit this process for good: also what the system would allow is never raised."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
        _lower(resource.RLIMIT_FSIZE, self.file)
        _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + self.seconds, grace=5)
        if sys.platform == "linux":  # others do not say what is used, or do not hold the limit
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + self.memory)


def run_module(module: str, arguments: Sequence[str], *, seconds: int) -> str | None:
    """Run a module of Python's in a child process, and wait for it.

    It starts without input, with one thread, sees no GPU, and takes no module from the folder in
    which it is started. However this ends, the child and what it started are gone then.

    Args:
        module: Its dotted name.
        arguments: What it finds in `sys.argv`.
        seconds: How long it may take, beside the time to start.

    Returns:
        Why it failed, in one line; None if it did not.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
    )
    try:
        _, told = child.communicate(timeout=_SECONDS_TO_START + seconds)
    except subprocess.TimeoutExpired:
        return _SIGNALS[signal.SIGXCPU]
    finally:
        _end(child)
    if child.returncode == 0:
        return None
    if -child.returncode in _SIGNALS:
        return _SIGNALS[signal.Signals(-child.returncode)]
    lines = told.decode("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "no reason given")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child with its group, unless it has ended by itself."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def _lower(kind: int, limit: int, *, grace: int = 0) -> None:
    _, hard = resource.getrlimit(kind)
    most = limit + grace if hard == resource.RLIM_INFINITY else min(limit + grace, hard)
    resource.setrlimit(kind, (min(limit, most), most))

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alnico import progress
from alnico.tensors.kernels import compiled, find_kernel, objects
from alnico.tensors.kernels.job import Job, Kernel
from alnico.tensors.tape import Step

JOB = Job(
    what="apply",
    of=(1,),
    steps=(Step("models", (), -1, True), Step("pick", (0, 0), -1, False)),
    k=1,
    inputs=("F32",),
    base=None,
    output="F32",
)
RUN = "import sys, runpy; runpy.run_path(sys.argv[1])['run'](); sys.exit('torch' in sys.modules)"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder; what this process knows of kernels is forgotten before and after."""
    monkeypatch.setenv("ALNICO_CACHE", str(tmp_path / "kept"))
    forget()
    yield tmp_path / "kept" / "kernels"
    forget()


def forget() -> None:
    for known in (objects.kernel_folder, compiled.compile_job, find_kernel):
        known.cache_clear()


def copies(kernel: Kernel) -> None:
    """Run the job, which copies a model."""
    given, made = np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
    nothing = np.zeros(1, np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64)
    kernel(5, 0, 1, (given,), given, *nothing, (made,), np.zeros(3, np.int64))
    assert made.tolist() == given.tolist()


def kept(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.rglob(f"*{ending}"))


def test_a_kernel_is_kept_in_a_folder_of_the_users_own(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies(find_kernel(JOB))
    assert cache.stat().st_mode & 0o777 == 0o700
    (path,) = kept(cache, ".kernel")
    forget()
    monkeypatch.setattr(compiled, "compile_text", None)  # it is not needed again
    copies(find_kernel(JOB))
    assert kept(cache, ".kernel") == [path]


def damaged(data: bytes) -> list[bytes]:
    head, _, code = data.partition(b"\n")
    other = head.replace(b"def loop", b"def pool")
    return [
        b"",
        b"no JSON",
        b"[]\n" + code,
        head,
        head + b"\n" + code[:-1],
        other + b"\n" + code,
        head + b"\n" + code[:-1] + bytes([code[-1] ^ 1]),
    ]


def test_what_was_changed_is_compiled_again_before_use(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[objects.Code] = []
    compile_text = compiled.compile_text

    def count(text: str) -> objects.Code:
        made.append(made[0] if made else compile_text(text))
        return made[0]

    monkeypatch.setattr(compiled, "compile_text", count)
    copies(find_kernel(JOB))
    (path,) = kept(cache, ".kernel")
    sound = path.read_bytes()
    for n, data in enumerate(damaged(sound), start=1):
        assert data != sound and len(made) == n
        path.write_bytes(data)
        forget()
        copies(find_kernel(JOB))
        assert path.read_bytes() != data
    path.unlink()
    path.symlink_to(__file__)
    forget()
    copies(find_kernel(JOB))
    assert not path.is_symlink()


def test_what_numba_cannot_compile_numpy_plays_with_a_warning(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(text: str) -> None:
        raise AttributeError("numba has no such part")

    monkeypatch.setattr(compiled, "compile_text", missing)
    said: list[progress.Event] = []
    with progress.listen(said.append):
        copies(find_kernel(JOB))
    assert "numpy takes its place: numba has no such part" in str(said)


def test_a_kept_kernel_needs_no_numba(cache: Path) -> None:
    copies(find_kernel(JOB))
    script = [
        "import sys, numpy as np",
        "from alnico.tensors.kernels import find_kernel",
        "from alnico.tensors.kernels.job import Job, Kernel",
        "from alnico.tensors.tape import Step",
        f"JOB = {JOB!r}",
        inspect.getsource(copies),
        "copies(find_kernel(JOB))",
        "assert 'numba' not in sys.modules and 'llvmlite' in sys.modules",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_others_can_write_to_is_refused(cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    said: list[progress.Event] = []
    with progress.listen(said.append):
        copies(find_kernel(JOB))
    (event,) = said
    assert f"{cache} can be written by others: compiled kernels are not kept" in str(event)
    assert f"chmod 700 {cache}" in str(event)
    assert list(cache.iterdir()) == []


def test_without_a_folder_kernels_live_in_memory(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.write_text("a file where the folder would be")
    assert objects.kernel_folder() is None
    copies(find_kernel(JOB))
    monkeypatch.delenv("ALNICO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    forget()
    assert objects.kernel_folder() is None


def test_a_full_disk_costs_the_memory_of_kernels_alone(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    copies(find_kernel(JOB))
    assert kept(cache, ".kernel") == []


def test_the_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = objects.kernel_folder.__wrapped__
    monkeypatch.setenv("ALNICO_CACHE", str(tmp_path / "own"))
    assert find() == tmp_path / "own" / "kernels"
    monkeypatch.delenv("ALNICO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find() == tmp_path / "xdg" / "alnico" / "kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find() == tmp_path / ".cache" / "alnico" / "kernels"


def test_two_processes_may_compile_at_once_and_need_no_torch(cache: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    lines = ["import numpy as np", "from alnico.tensors.kernels import find_kernel"]
    lines += ["from alnico.tensors.kernels.job import Job, Kernel"]
    lines += ["from alnico.tensors.tape import Step", f"JOB = {JOB!r}", inspect.getsource(copies)]
    script.write_text("\n".join([*lines, "def run(): copies(find_kernel(JOB))"]))
    running = [subprocess.Popen([sys.executable, "-c", RUN, str(script)]) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert len(list(cache.iterdir())) == len(kept(cache, ".kernel")) == 1


def test_without_numba_numpy_plays_the_steps(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alnico.tensors.kernels.find_spec", lambda name: None)
    copies(find_kernel(JOB))
    assert not cache.exists()

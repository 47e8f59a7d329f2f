"""Kernels as machine code: numba compiles a text once, and what it made is kept."""

from __future__ import annotations

import ctypes
import hashlib
import linecache
from functools import cache
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from alnico.tensors.kernels import objects
from alnico.tensors.kernels.call import scratch_bytes
from alnico.tensors.kernels.job import Job, Kernel
from alnico.tensors.kernels.objects import Code
from alnico.tensors.kernels.text import write

if TYPE_CHECKING:
    from collections.abc import Sequence


@cache
def compile_job(job: Job) -> Kernel:
    """The kernel of a job, as it was kept, or else compiled."""
    text = write(job, version=version("alnico"))
    code = objects.find(text)
    if code is None:
        code = compile_text(text)
        objects.keep(text, code)
    return _with_arrays(job, objects.load(code))


def compile_text(text: str) -> Code:
    """Compile the function `kernel` of a module's text."""
    from alnico.tensors.kernels.intrinsics import ARGUMENTS

    module = ModuleType("alnico_kernel_" + hashlib.sha256(text.encode()).hexdigest()[:24])
    module.__file__ = f"<{module.__name__}>"
    linecache.cache[module.__file__] = (
        len(text),
        None,
        text.splitlines(True),
        module.__file__,
    )
    exec(compile(text, module.__file__, "exec"), vars(module))
    module.kernel.compile(ARGUMENTS)
    made = module.kernel.overloads[ARGUMENTS]
    library = made.library
    data = library.codegen._tm.emit_object(library._final_module)
    return Code(made.fndesc.llvm_func_name, data)


def _with_arrays(job: Job, function: Any) -> Kernel:
    """A kernel that is given arrays, of a function that is given their addresses."""
    ranks = job.ranks

    def run(
        n: int,
        start: int,
        row: int,
        inputs: Sequence[np.ndarray],
        base: np.ndarray,
        floats: np.ndarray,
        ints: np.ndarray,
        wanted: np.ndarray,
        out: Sequence[np.ndarray],
        seen: np.ndarray,
    ) -> None:
        scratch = np.empty(scratch_bytes(job, row) if ranks else 0, np.uint8)
        arrays = (scratch, *inputs, base, floats, ints, wanted, *out, seen)
        addresses = [array.__array_interface__["data"][0] for array in arrays]
        function(n, start, row, (ctypes.c_int64 * len(addresses))(*addresses))

    return run

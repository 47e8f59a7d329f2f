"""A traced method as a loop over a block of entries: compiled by numba, or played by numpy."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from alnico.progress import warn
from alnico.tensors.kernels.job import Job, Kernel

__all__ = ["find_kernel"]


@cache
def find_kernel(job: Job, *, compiled: bool = True) -> Kernel:
    """What does a job on a block of entries.

    Args:
        job: The job.
        compiled: Whether it is worth half a second to have numba; without it, or where there is no
            numba, numpy plays the steps.
    """
    if compiled and find_spec("numba") is not None:
        from alnico.tensors.kernels.compiled import compile_job

        try:
            return compile_job(job)
        except (AttributeError, ImportError, RuntimeError) as error:
            warn(
                f"a kernel cannot be compiled, and numpy takes its place: {error}",
                help="install a version of numba that alnico is tested with",
            )
    from alnico.tensors.kernels.interpreted import interpret_job

    return interpret_job(job)

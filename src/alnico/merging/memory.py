"""Memory that runs out while a tensor is merged, said as what it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alnico.errors import DataError

_SAID = ("can't allocate memory", "out of memory")
"""How torch says it, in an error of any kind."""


@contextmanager
def within_memory(name: str) -> Iterator[None]:
    """Name the tensor for which a block of code finds no memory.

    Args:
        name: The tensor that is merged in it.

    Raises:
        DataError: If memory runs out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(said in str(error) for said in _SAID):
            raise
        raise DataError(
            f"{name} needs more memory than there is",
            help="alnico plan says how much a merge takes, and which methods take whole tensors; "
            "fewer --threads take less",
        ) from error

"""The dtype in which tensors of several dtypes meet."""

from __future__ import annotations

from collections.abc import Iterable

HALVES = ("BF16", "F16")
WIDER = ("F32", "F64")
SINGLE = ("arcee_fusion", "ramplus_tl")
"""Methods whose result mergekit writes in float32 where no `out_dtype` is asked for."""


def promote(dtypes: Iterable[str]) -> str:
    """The narrowest of safetensors' float dtypes that holds all: theirs, or F32 for BF16 and F16.

    Eight bits meet sixteen in sixteen, and another form of eight in F32.

    Args:
        dtypes: At least one.
    """
    found = dict.fromkeys(dtypes)
    if len(found) == 1:
        return next(iter(found))
    wide = [dtype for dtype in WIDER if dtype in found]
    if wide:
        return wide[-1]
    halves = [dtype for dtype in found if not dtype.startswith("F8")]
    return halves[0] if len(halves) == 1 else "F32"

"""Floats of one byte, which numpy has no dtype for."""

from __future__ import annotations

from functools import cache

import numpy as np

_FORMATS = {
    "F8_E4M3": (3, 7, frozenset({0x7F, 0xFF})),
    "F8_E5M2": (2, 15, frozenset({*range(0x7D, 0x80), *range(0xFD, 0x100)})),
    "F8_E4M3FNUZ": (3, 8, frozenset({0x80})),
    "F8_E5M2FNUZ": (2, 16, frozenset({0x80})),
}
"""Name -> bits after the point, the exponent's bias, and the codes that are no number."""

FLOATS_OF_A_BYTE = frozenset(_FORMATS)
"""What safetensors calls them."""


@cache
def values_of(dtype: str) -> np.ndarray:
    """The value of each of the 256 codes of a float of one byte.

    Args:
        dtype: One of `FLOATS_OF_A_BYTE`.

    Returns:
        An array that is not to be changed. [256], float32
    """
    n_bits, bias, nans = _FORMATS[dtype]
    codes = np.arange(256)
    fraction = (codes & (2**n_bits - 1)) / 2**n_bits
    exponent = (codes & 0x7F) >> n_bits
    size = np.where(exponent == 0, fraction, 1 + fraction) * 2.0 ** (np.maximum(exponent, 1) - bias)
    if dtype == "F8_E5M2":
        size[[0x7C, 0xFC]] = np.inf
    size[list(nans)] = np.nan
    values: np.ndarray = np.where(codes < 0x80, size, -size).astype(np.float32)
    values.flags.writeable = False
    return values

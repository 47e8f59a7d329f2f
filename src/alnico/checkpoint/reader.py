"""Safetensors files as torch tensors; their headers are checked first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from alnico.checkpoint.header import read_header
from alnico.errors import UnknownNameError, UnsafeFileError
from alnico.registry import suggest
from alnico.types import StateDict

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
"""The format's name of each dtype -> torch's."""


def read_tensors(path: Path, names: Iterable[str] | None = None) -> StateDict:
    """Read tensors of a safetensors file into memory of their own.

    Args:
        path: The file; its header is checked first.
        names: Which tensors; None reads all.

    Raises:
        DataError: If there is no such file.
        UnsafeFileError: If it is not exactly as the format says.
        UnknownNameError: If it has no tensor of a name.
    """
    header = read_header(path)
    wanted = list(header.tensors) if names is None else list(names)
    for name in wanted:
        if name not in header.tensors:
            raise UnknownNameError(
                f"{path} has no tensor {name!r}",
                help=suggest(name, header.tensors, all_of_them="its tensors are"),
            )
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).clone() for name in wanted}
    except SafetensorError as error:
        raise UnsafeFileError(
            f"{path} is not a sound safetensors file: {error}",
            help="it is damaged or was made to mislead; get it again from its source",
        ) from error

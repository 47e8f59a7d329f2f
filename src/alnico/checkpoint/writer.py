"""Tensors to a safetensors file: whole or not at all, and the same bytes for the same tensors.

The bytes are written here, as the library's own writer puts metadata in random order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from alnico.checkpoint.files import new_file
from alnico.checkpoint.reader import DTYPES, read_tensors
from alnico.checkpoint.shards import Out, header_bytes
from alnico.errors import OutputError, RecipeError

NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    force: bool = False,
) -> None:
    """Write tensors to a safetensors file, and read them back to be sure.

    Views and tensors that share memory are written in full, each under its own name.

    Args:
        path: Where the file is to be.
        tensors: Name -> tensor, on any device.
        metadata: Notes to keep in the file.
        force: Whether a file there may be replaced.

    Raises:
        RecipeError: If a name or a dtype cannot be written.
        OutputError: If the file is there already or cannot be written, or does not read back.
    """
    _check(tensors)
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # aligned
    header = header_bytes(
        (Out(name, NAMES[tensors[name].dtype], tuple(tensors[name].shape)) for name in order),
        metadata or {},
    )
    with new_file(path, force=force) as partial:
        with partial.open("xb") as file:
            file.write(header)
            for name in order:
                file.write(_bytes(tensors[name]).numpy().data)
        written = read_tensors(partial)
        for name in order:
            if not torch.equal(_bytes(tensors[name]), _bytes(written[name])):
                raise OutputError(f"{path}: {name} does not read back as it was written")


def _check(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in NAMES or tensor.layout != torch.strided:
            raise RecipeError(
                f"{name} cannot be written: safetensors has no {tensor.dtype} {tensor.layout}"
            )


def _bytes(tensor: Tensor) -> Tensor:
    """A tensor's bytes in row-major order."""
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    flat = plain.contiguous().reshape(-1)
    return flat.as_strided(flat.shape, (1,)).view(torch.uint8)  # of one or no value: any stride

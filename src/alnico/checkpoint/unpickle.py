"""The child process that loads PyTorch's files with torch's weights-only loader, under limits.

Its parent has looked through the files before, and has laid out what is to be written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from alnico.checkpoint.header import read_header
from alnico.checkpoint.reader import DTYPES
from alnico.checkpoint.sandbox import Limits


def fill(source: Path, target: Path, key: str | None, *, is_zip: bool) -> None:
    """Write the tensors that a safetensors file has a header for, and no values yet.

    Args:
        source: The file of PyTorch's.
        target: The safetensors file, of its full size.
        key: Under which name the state dict lies; None if it is all of the file.
        is_zip: Whether the source can be mapped, so that no tensor takes memory of its own.

    Raises:
        ValueError: If a tensor is not what the header says.
    """
    header = read_header(target)
    loaded = torch.load(str(source), map_location="cpu", weights_only=True, mmap=is_zip)
    tensors = loaded if key is None else loaded[key]
    with target.open("r+b") as file:
        for name, entry in header.tensors.items():
            tensor = tensors[name]
            if tensor.dtype != DTYPES[entry.dtype] or tuple(tensor.shape) != entry.shape:
                raise ValueError(f"tensor {name!r} is {tensor.dtype} {list(tensor.shape)}")
            file.seek(header.n_bytes + entry.start)
            file.write(_bytes(tensor).numpy().data)


def _bytes(tensor: Tensor) -> Tensor:
    """A tensor's bytes in row-major order; without a copy if they lie so in the file."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.as_strided(flat.shape, (1,)).view(torch.uint8)  # of one or no value: any stride


def main(limits: str, jobs: str) -> None:
    """Fill all files that the parent names.

    Args:
        limits: JSON of what this process may use.
        jobs: JSON of `[source, target, key, is_zip]` for each file.

    Raises:
        SystemExit: With the file and the fault, whatever it was.
    """
    Limits(**json.loads(limits)).apply()
    for source, target, key, is_zip in json.loads(jobs):
        try:
            fill(Path(source), Path(target), key, is_zip=is_zip)
        except Exception as error:
            told = " ".join(str(error).split())
            sys.exit(f"{Path(source).name}: {type(error).__name__}: {told}")


if __name__ == "__main__":
    main(*sys.argv[1:])

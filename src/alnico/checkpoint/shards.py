"""Where every byte of a model lies before one is written: files, headers, starts, the index."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from alnico.checkpoint.header import MAX_HEADER, SIZES
from alnico.errors import RecipeError
from alnico.progress import spaced
from alnico.registry import suggest

SHARD_BYTES = 5_000_000_000
"""How large a file of a model in a folder may be, as huggingface_hub has it."""

INDEX = "model.safetensors.index.json"
METADATA = "__metadata__"


@dataclass(frozen=True)
class Out:
    """A tensor that will be written.

    Args:
        name: What it is called.
        dtype: The format's name of it, e.g. `BF16`.
        shape: Its lengths.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def n_entries(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """How much room its values take."""
        return self.n_entries * SIZES[self.dtype]


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    Args:
        name: What it is called.
        tensors: What it holds, in its order.
        header: Its first bytes, up to the first tensor.
        starts: Each tensor's first byte, counted from the start of the file.
        n_bytes: How large it is.
    """

    name: str
    tensors: tuple[Out, ...]
    header: bytes
    starts: Mapping[str, int]
    n_bytes: int


def header_bytes(tensors: Iterable[Out], metadata: Mapping[str, str]) -> bytes:
    """The header of a file whose tensors follow each other without a hole.

    Raises:
        RecipeError: If a name or a dtype cannot be written, or they are too many for one file.
    """
    entries: dict[str, object] = {METADATA: dict(metadata)} if metadata else {}
    start = 0
    for out in tensors:
        _check(out, entries)
        end = start + out.n_bytes
        entries[out.name] = {
            "dtype": out.dtype,
            "shape": list(out.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = _encoded(entries)
    text += b" " * (-len(text) % 8)  # so that the data begin on a multiple of 8
    if len(text) > MAX_HEADER:
        raise RecipeError(
            f"{spaced(len(entries))} tensors need a header of {spaced(len(text))} bytes, and one "
            f"file may have {spaced(MAX_HEADER)}",
            help="write smaller shards: --shard-size",
        )
    return len(text).to_bytes(8, "little") + text


def one_file(name: str, tensors: Iterable[Out], metadata: Mapping[str, str]) -> ModelFile:
    """Lay out tensors in a file: wide dtypes first, so that each lies where it can be mapped.

    Raises:
        RecipeError: As `header_bytes` does.
    """
    ordered = sorted(tensors, key=lambda out: -SIZES.get(out.dtype, 0))  # stable
    header = header_bytes(ordered, metadata)
    starts, start = {}, len(header)
    for out in ordered:
        starts[out.name] = start
        start += out.n_bytes
    return ModelFile(name, tuple(ordered), header, starts, start)


def in_shards(
    tensors: Sequence[Out], metadata: Mapping[str, str], shard_bytes: int = SHARD_BYTES
) -> tuple[ModelFile, ...]:
    """Lay out a model for a folder: `model.safetensors`, or shards that an index lists.

    Args:
        tensors: The model's, which are kept in this order from shard to shard.
        metadata: Notes to keep in each file.
        shard_bytes: How large the tensors of one file may be; a larger one has a file of its own.

    Raises:
        RecipeError: If a shard could hold nothing, a name occurs twice, or as `header_bytes` does.
    """
    if shard_bytes < 1:
        raise RecipeError(
            f"a shard cannot have {shard_bytes} bytes", help="give it at least 1, e.g. 5 GB"
        )
    seen: dict[str, object] = {}
    for out in tensors:
        _check(out, seen)
        seen[out.name] = out
    parts = list(_parts(tensors, shard_bytes)) or [[]]
    n = len(parts)
    return tuple(
        one_file(
            "model.safetensors" if n == 1 else f"model-{i:05d}-of-{n:05d}.safetensors",
            part,
            metadata,
        )
        for i, part in enumerate(parts, start=1)
    )


def index_bytes(files: Iterable[ModelFile]) -> bytes:
    """The index of a model in shards, as transformers writes it: which file has which tensor."""
    places = [(file.name, out) for file in files for out in file.tensors]
    index = {
        "metadata": {
            "total_parameters": sum(out.n_entries for _, out in places),
            "total_size": sum(out.n_bytes for _, out in places),
        },
        "weight_map": {out.name: file for file, out in places},
    }
    return (json.dumps(index, indent=2, sort_keys=True) + "\n").encode("ascii")


def _parts(tensors: Iterable[Out], shard_bytes: int) -> Iterator[list[Out]]:
    part: list[Out] = []
    size = 0
    for out in tensors:
        if part and size + out.n_bytes > shard_bytes:
            yield part
            part, size = [], 0
        part.append(out)
        size += out.n_bytes
    if part:
        yield part


def _encoded(entries: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise RecipeError(
            f"a name cannot be written as UTF-8: {error.object[:80]!r}", help="rename it"
        ) from None


def _check(out: Out, taken: Mapping[str, object]) -> None:
    if out.name == METADATA:
        raise RecipeError(f"a tensor cannot be named {METADATA}", help="rename it")
    if out.name in taken:
        raise RecipeError(f"two tensors are named {out.name!r}", help="rename one of them")
    if out.dtype not in SIZES:
        raise RecipeError(
            f"{out.name} cannot be written: safetensors has no dtype {out.dtype!r}",
            help=suggest(out.dtype, SIZES, all_of_them="its dtypes are"),
        )

"""A model on disk, opened: what its tensors are is known at once, their bytes are read on demand.

Reading is by position into the caller's memory, from any number of threads; torch is not needed.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from alnico.checkpoint.folder import TORCH, check_link, is_index
from alnico.checkpoint.header import ARRAYS, SIZES, Entry, Header, header_of
from alnico.checkpoint.index import check_shards, read_index, shard_paths
from alnico.checkpoint.json_file import CONFIG, read_config
from alnico.checkpoint.locate import Place, locate
from alnico.checkpoint.regular import RegularFile
from alnico.errors import DataError, UnknownNameError, UnsafeFileError
from alnico.registry import suggest

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Part:
    """A safetensors file of a model.

    Args:
        file: The file, open.
        header: What it says of its tensors.
    """

    file: RegularFile
    header: Header


class Checkpoint:
    """A model on disk, as `open_checkpoint` gives it; used as a context, it is closed at the end.

    Args:
        path: As the user gave it; messages call the model so.
        place: Where it is.
        parts: Its tensors.
        sources: The files that it was read from, which are others where these were converted.
        closing: What is to be closed with it.
    """

    def __init__(
        self,
        path: str | Path,
        place: Place,
        parts: Sequence[Part],
        *,
        sources: Sequence[RegularFile],
        closing: ExitStack,
    ) -> None:
        from alnico.checkpoint.quantized import find_quantized

        self.path = path
        self.folder = place.folder
        """Where its config and side files lie; None for one file given by itself."""
        self.revision = place.revision
        """The commit, for a model of the hub."""
        self.config = _config_of(place.folder)
        """What its `config.json` says; None if there is none."""
        self.metadata: dict[str, str] = {}
        """The files' own notes."""
        self._sources, self._closing = sources, closing
        self._part_of: dict[str, Part] = {}
        for part in parts:
            self._part_of.update(dict.fromkeys(part.header.tensors, part))
            self.metadata = {**part.header.metadata, **self.metadata}
        stored = {name: part.header.tensors[name] for name, part in self._part_of.items()}
        try:
            self._quantized = find_quantized(stored, self.config)
        except DataError as error:
            raise DataError(f"{path}: {error.message}", help=error.help) from error
        serving = {name for made in self._quantized.values() for name in made.consumed}
        self.tensors: Mapping[str, Entry] = {
            name: self._quantized[name].entry if name in self._quantized else entry
            for name, entry in stored.items()
            if name not in serving
        }
        """Name -> what the tensor is once it is read, in the order of the files."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Where its weights lie."""
        return tuple(source.path for source in self._sources)

    @property
    def n_bytes(self) -> int:
        """How much room its tensors take once they are read."""
        return sum(self._bytes_by_dtype().values())

    @property
    def dtype(self) -> str:
        """The dtype that most of its bytes have."""
        return self._bytes_by_dtype().most_common(1)[0][0]

    def read(self, name: str, start: int, stop: int, out: np.ndarray) -> None:
        """Read entries [start, stop) of a tensor, counted in row-major order, as bytes.

        Args:
            name: The tensor's.
            start: The first entry.
            stop: The entry after the last.
            out: Filled with their little-endian bytes; contiguous, of exactly as many bytes.

        Raises:
            DataError: If the file was cut meanwhile, or the disk fails.
            UnknownNameError: If there is no tensor of that name.
        """
        entry = self._entry(name)
        size = SIZES[entry.dtype]
        assert 0 <= start <= stop <= math.prod(entry.shape)
        assert out.nbytes == (stop - start) * size
        if start == stop:
            return
        target = out.reshape(-1).view("u1")
        if name in self._quantized:
            found = self._quantized[name].read(self._read_stored, start, stop)
            target[:] = found.reshape(-1).view("u1")
        else:
            self._fill(name, start, target)

    def array(self, name: str) -> np.ndarray:
        """A tensor as numpy has it; what numpy has not, BF16 and floats of 8 bits, as its bits.

        Raises:
            DataError: As `read` does.
            UnknownNameError: If there is no tensor of that name.
        """
        import numpy as np

        entry = self._entry(name)
        array = np.empty(entry.shape, ARRAYS[entry.dtype])
        self.read(name, 0, array.size, array)
        return array

    def tensor(self, name: str) -> Tensor:
        """A tensor in memory of its own.

        Raises:
            DataError: As `read` does.
            UnknownNameError: If there is no tensor of that name.
        """
        import torch

        from alnico.checkpoint.reader import DTYPES

        entry = self._entry(name)
        flat = torch.from_numpy(self.array(name).reshape(-1))
        return flat.view(DTYPES[entry.dtype]).reshape(entry.shape)

    def check_unchanged(self) -> None:
        """See that its files are those that were opened, and that nobody wrote to them since.

        Raises:
            DataError: If they are not.
        """
        for source in self._sources:
            source.check_unchanged()

    def close(self) -> None:
        """Close its files; a second time does nothing."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _entry(self, name: str) -> Entry:
        if name not in self.tensors:
            raise UnknownNameError(
                f"{self.path} has no tensor {name!r}",
                help=suggest(name, self.tensors, all_of_them="its tensors are"),
            )
        return self.tensors[name]

    def _read_stored(self, name: str, start: int, stop: int) -> np.ndarray:
        """Entries [start, stop) as they are stored, before any scale."""
        import numpy as np

        found = np.empty(stop - start, ARRAYS[self._part_of[name].header.tensors[name].dtype])
        self._fill(name, start, found.view("u1"))
        return found

    def _fill(self, name: str, start: int, target: np.ndarray) -> None:
        """Fill bytes with a stored tensor's, from its entry `start` on."""
        part = self._part_of[name]
        entry = part.header.tensors[name]
        first = part.header.n_bytes + entry.start + start * SIZES[entry.dtype]
        part.file.read_into(first, target.data)

    def _bytes_by_dtype(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for entry in self.tensors.values():
            found[entry.dtype] += entry.end - entry.start
        return found


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a model: a file, an index, a folder, or, where nothing is there, a name on the hub.

    Args:
        path: A `.safetensors`, `.bin`, `.pt` or `.pth` file; the index of a sharded model; a
            folder with one of these; or `org/model` or `org/model@revision`.

    Returns:
        The model; its headers are read and checked, its tensors are not.

    Raises:
        DataError: If there is no such model, it is not clear which is meant, or it is not whole.
        UnsafeFileError: If reading it could do harm, or a header is not as the format says.
    """
    place = locate(path)
    index = read_index(place.weights) if is_index(place.weights.name) else None
    with ExitStack() as opening:
        closing = opening.enter_context(ExitStack())
        files = [place.weights] if index is None else shard_paths(index)
        sources = [closing.enter_context(RegularFile(file)) for file in files]
        parts = [Part(file, _header_of(file)) for file in _as_safetensors(sources, closing)]
        if index is not None:
            check_shards(index, [part.header.tensors for part in parts])
        found = Checkpoint(path, place, parts, sources=sources, closing=closing)
        if not found.tensors:
            raise DataError(f"{path} has no tensors", help="give a model that has weights")
        opening.pop_all()  # from now on it is the model's to be closed
    return found


def _as_safetensors(sources: Sequence[RegularFile], closing: ExitStack) -> list[RegularFile]:
    """The files themselves; those of PyTorch's as temporary files, which are removed at the end."""
    old = [source.path for source in sources if source.path.name.lower().endswith(TORCH)]
    if not old:
        return list(sources)
    from alnico.checkpoint.weights_only import convert_all

    converted = dict(zip(old, convert_all(old), strict=True))
    for path in converted.values():
        closing.callback(path.unlink, missing_ok=True)
    return [
        closing.enter_context(RegularFile(converted[source.path], name=source.path))
        if source.path in converted
        else source
        for source in sources
    ]


def _header_of(file: RegularFile) -> Header:
    try:
        return header_of(file)
    except UnsafeFileError as error:
        if bytes(file.read(0, min(file.size, 9)))[8:] == b"{":  # it has a header, of whatever kind
            raise
        from alnico.checkpoint.scan import scan  # a pickle by another name, and what it would call

        found = scan(file.path)[0]
        if found.verdict == "unsafe" and found.reason not in error.message:
            message = f"{file.name} is refused: {found.reason}"
            raise UnsafeFileError(message, help=found.help) from error
        raise


def _config_of(folder: Path | None) -> dict[str, object] | None:
    path = None if folder is None else folder / CONFIG
    if path is None or not os.path.lexists(path):
        return None
    check_link(path)
    return read_config(path)

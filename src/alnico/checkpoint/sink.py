"""A model being written: blocks of tensors in any order, from several threads at once."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from alnico.checkpoint.files import writing
from alnico.checkpoint.header import SIZES
from alnico.checkpoint.journal import Journal
from alnico.checkpoint.regular import RegularFile
from alnico.checkpoint.shards import ModelFile, Out
from alnico.errors import OutputError


class Sink:
    """Takes the blocks of a model's tensors; its files are there already, at their full size.

    Args:
        place: Where the model is to be, for messages.
        folder: Where it lies until then; side files are written here.
        files: What each file holds.
        journal: Where finished tensors are noted.
        done: Tensors that an interrupted writer finished -> digest.
    """

    def __init__(
        self,
        place: Path,
        folder: Path,
        files: Sequence[ModelFile],
        journal: Journal,
        done: Mapping[str, str],
    ) -> None:
        self.place = place
        self.folder = folder
        self.files = tuple(folder / file.name for file in files)
        self._journal = journal
        self._done = dict(done)
        self._at: dict[str, tuple[ModelFile, Out]] = {
            out.name: (file, out) for file in files for out in file.tensors
        }
        self._missing = {name: out.n_bytes for name, (_, out) in self._at.items()}
        self._unfinished = {
            file.name: {out.name for out in file.tensors if out.name not in done} for file in files
        }
        self._opened: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def done(self) -> Mapping[str, str]:
        """The finished tensors -> digest, those of an interrupted writer among them.

        After a power failure a line here can be younger than the bytes on the disk: who goes on
        compares the digest with what `read` gives.
        """
        return MappingProxyType(self._done)

    def put(self, name: str, start: int, block: np.ndarray) -> None:
        """Write a block of a tensor, in row-major order; each of its entries once.

        Args:
            name: The tensor.
            start: The block's first entry.
            block: Its values in the tensor's dtype, or their bytes.

        Raises:
            OutputError: If it cannot be written, or leaves the tensor.
        """
        file, out = self._at[name]
        values = np.ascontiguousarray(block).reshape(-1)
        data = values.astype(values.dtype.newbyteorder("<"), copy=False).view(np.uint8)
        stop = start + data.size // SIZES[out.dtype]
        _check_range(out, start, stop, data.size)
        if not data.size:
            return
        with writing(self.place):
            _write(self._open(file), data.data, file.starts[name] + start * SIZES[out.dtype])
        with self._lock:
            self._missing[name] -= data.size

    def finish(self, name: str, digest: str) -> None:
        """Note that all blocks of a tensor are written, so that it need never be written again.

        Args:
            name: The tensor.
            digest: Of its bytes, by the caller's own rule.

        Raises:
            OutputError: If some of it is missing or was written twice, or the disk is full.
        """
        file, out = self._at[name]
        with self._lock:
            if self._missing[name]:
                raise OutputError(
                    f"{self.place}: {name} is not finished: {out.n_bytes - self._missing[name]} "
                    f"bytes were written, and it has {out.n_bytes}"
                )
            with writing(self.place):
                self._journal.add(name, digest)
            self._unfinished[file.name].discard(name)
            self._done[name] = digest
            if not self._unfinished[file.name] and file.name in self._opened:
                os.close(self._opened.pop(file.name))

    def read(self, name: str, start: int, stop: int, out: np.ndarray) -> None:
        """Read back entries of a tensor.

        Args:
            name: The tensor.
            start: The first entry.
            stop: The entry after the last.
            out: Where to; contiguous, and just as large.

        Raises:
            OutputError: If `out` has gaps or another size, or the entries leave the tensor.
            DataError: If they cannot be read.
        """
        file, tensor = self._at[name]
        _check_range(tensor, start, stop, out.nbytes)
        if not out.flags.c_contiguous:
            raise OutputError(f"{name}: what it is read into must be contiguous")
        view = out.reshape(-1).view(np.uint8)
        with RegularFile(self.folder / file.name) as opened:
            opened.read_into(file.starts[name] + start * SIZES[tensor.dtype], view.data)

    def check_complete(self) -> None:
        """See that every tensor is finished.

        Raises:
            OutputError: If one is not.
        """
        left = [name for name in self._at if name not in self._done]
        if left:
            raise OutputError(
                f"{self.place} is not complete: {len(left)} of {len(self._at)} tensors were never "
                f"finished, {left[0]!r} the first of them"
            )

    def close(self) -> None:
        """Give all files back to the system; a second time does nothing."""
        with self._lock:
            self._journal.close()
            while self._opened:
                os.close(self._opened.popitem()[1])

    def _open(self, file: ModelFile) -> int:
        """The file's descriptor: opened with its first block, closed with its last tensor."""
        with self._lock:
            if file.name not in self._opened:
                self._opened[file.name] = os.open(
                    self.folder / file.name, os.O_WRONLY | os.O_CLOEXEC
                )
            return self._opened[file.name]


def create(path: Path, file: ModelFile) -> None:
    """Make a file of its full size, so that a full disk is known at once, and write its header."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _allocate(opened, file.n_bytes)
        _write(opened, memoryview(file.header), 0)
    finally:
        os.close(opened)


def _allocate(opened: int, n_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(opened, 0, n_bytes)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # the file system cannot
                raise
    os.ftruncate(opened, n_bytes)


def _write(opened: int, data: memoryview, at: int) -> None:
    """All of `data` from byte `at` on: one system call may write less than it was given."""
    done = 0
    while done < len(data):
        done += os.pwrite(opened, data[done:], at + done)


def _check_range(out: Out, start: int, stop: int, n_bytes: int) -> None:
    fits = 0 <= start <= stop <= out.n_entries
    if not fits or n_bytes != (stop - start) * SIZES[out.dtype]:
        raise OutputError(
            f"{out.name}: {n_bytes} bytes are not its entries {start} to {stop}: it has "
            f"{out.n_entries} of {SIZES[out.dtype]} bytes each"
        )

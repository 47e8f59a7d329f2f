"""Regular files, opened once and read at any place: no pipe, no device, and no mapping to crash."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from alnico.errors import DataError, UnsafeFileError

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # a pipe would be waited for
_MOST = 2**30  # bytes of one system call; Linux itself gives no more than 2**31 - 4096


class RegularFile:
    """A file that is read by position, from any number of threads at once.

    Args:
        path: Where it is.
        name: What messages call it, if not by its path.

    Raises:
        DataError: If there is no such file, or it cannot be opened.
        UnsafeFileError: If it is a folder, a pipe, a device or a socket; these are not opened.
    """

    def __init__(self, path: Path, *, name: Path | None = None) -> None:
        self.path = path
        self.name = path if name is None else name
        try:
            self._refuse_irregular(path.stat())  # before opening: to open a device can act on it
            self._opened = os.open(path, _FLAGS)
        except OSError as error:
            raise self._explained(error) from None
        try:
            found = os.fstat(self._opened)
            self._refuse_irregular(found)
        except BaseException:
            self.close()
            raise
        self.size = found.st_size
        self._stamp = _stamp(found)

    def read_into(self, start: int, view: memoryview) -> None:
        """Fill `view`, bytes in one dimension, with the bytes from `start` on.

        Raises:
            DataError: If the file ends before that, or the disk fails.
        """
        done = 0
        while done < len(view):
            try:
                n = os.preadv(self._opened, [view[done : done + _MOST]], start + done)
            except OSError as error:
                raise self._explained(error) from error
            if n == 0:
                raise DataError(f"{self.name} was cut while it was read", help="start again")
            done += n

    def read(self, start: int, size: int) -> bytearray:
        """The `size` bytes from `start` on, as `read_into` reads them."""
        data = bytearray(size)
        self.read_into(start, memoryview(data))
        return data

    def check_unchanged(self) -> None:
        """See that the path still leads to the file that was opened, and nobody wrote to it.

        Raises:
            DataError: If it does not.
        """
        try:
            unchanged = _stamp(self.path.stat()) == self._stamp
        except OSError:
            unchanged = False
        if not unchanged:
            raise DataError(f"{self.name} was changed while it was read", help="start again")

    def close(self) -> None:
        """Give the file back to the system; a second time does nothing."""
        opened, self._opened = self._opened, -1
        if opened >= 0:
            os.close(opened)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _refuse_irregular(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise UnsafeFileError(
                f"{self.name} is refused: it is not a plain file",
                help="a folder, pipe or device cannot stand in for a file; get the file itself",
            )

    def _explained(self, error: OSError) -> DataError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return DataError(f"there is no file {self.name}", help="check the path")
        many = "raise the limit, e.g. ulimit -n 8192" if error.errno == errno.EMFILE else None
        return DataError(f"{self.name} cannot be read: {error.strerror or error}", help=many)


def _stamp(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

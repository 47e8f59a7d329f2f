"""Models as safetensors files: headers are checked at once, tensors are read when needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from alnico.checkpoint.reader import DTYPES, Header, read_header, read_tensors
from alnico.checkpoint.scan import scan
from alnico.errors import DataError, UnsafeFileError
from alnico.merging.plan import Form, Forms
from alnico.types import StateDict

GROUP_BYTES = 64 * 2**20
"""Tensors are read in groups of about this size, so that a file is opened few times."""


@dataclass(frozen=True)
class Source:
    """One model's file.

    Args:
        path: As the user gave it; messages call the model so.
        header: Of the file.
        stamp: Size and time of the file's last change, when the header was read.
    """

    path: Path
    header: Header
    stamp: tuple[int, int]

    @property
    def forms(self) -> Forms:
        """What the header says of each tensor."""
        return {
            name: Form(DTYPES[entry.dtype], entry.shape)
            for name, entry in self.header.tensors.items()
        }

    def read(self, names: Iterable[str]) -> StateDict:
        """Read some tensors."""
        return read_tensors(self.path, names)

    def check_unchanged(self) -> None:
        """See that the file is the one whose header was read.

        Raises:
            DataError: If it was changed since.
        """
        if _stamp(self.path) != self.stamp:
            raise DataError(f"{self.path} was changed while it was read", help="merge again")


def open_source(path: str | Path) -> Source:
    """Read the header of a model's file.

    Raises:
        DataError: If there is no such file, or it is a folder.
        UnsafeFileError: If it is a pickle, or not exactly as the format says.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"there is no file {path}", help="check the path")
    if path.is_dir():
        raise DataError(
            f"{path} is a folder, not a model in one file", help="give a .safetensors file in it"
        )
    try:
        return Source(path, read_header(path), _stamp(path))
    except UnsafeFileError as error:
        found = scan(path)[0]  # a pickle, and what it would call
        if found.verdict == "unsafe":
            raise UnsafeFileError(f"{path} is refused: {found.reason}", help=found.help) from error
        raise


def in_groups(forms: Forms) -> Iterator[Sequence[str]]:
    """Split names into groups to be read at once: what has no mean first, then by size."""
    exact = [name for name, form in forms.items() if not form.has_mean]
    if exact:
        yield exact
    group: list[str] = []
    n_bytes = 0
    for name, form in forms.items():
        if not form.has_mean:
            continue
        if group and n_bytes + form.n_bytes > GROUP_BYTES:
            yield group
            group, n_bytes = [], 0
        group.append(name)
        n_bytes += form.n_bytes
    if group:
        yield group


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns

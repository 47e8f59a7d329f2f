"""What a writer has finished, a line for each tensor, so that after its death another goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from alnico.checkpoint.files import new_file


class Journal:
    """A file that is only ever added to.

    Its first line says what the lines after it belong to. A line is added by one system call, so
    that a process which is killed leaves whole lines.

    Args:
        path: Where it lies; what is there is replaced.
        key: What its lines belong to.
        done: What was finished before: tensor -> digest.
    """

    def __init__(self, path: Path, key: str, done: Mapping[str, str]) -> None:
        with new_file(path, force=True) as partial:
            partial.write_bytes(b"".join([_line(key), *map(_line, done.items())]))
        self._opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def add(self, name: str, digest: str) -> None:
        """Note that a tensor is finished; from several threads only one at a time."""
        os.write(self._opened, _line((name, digest)))

    def close(self) -> None:
        """Give the file back to the system; a second time does nothing."""
        opened, self._opened = self._opened, -1
        if opened >= 0:
            os.close(opened)


def read_journal(path: Path) -> tuple[str, dict[str, str]] | None:
    """The key and what was finished; None if there is no journal.

    A last line without its end was cut, and its tensor counts as unfinished.

    Raises:
        ValueError: If it is not a journal.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    key, *entries = [json.loads(line) for line in text.split(b"\n")[:-1]]
    return str(key), {str(name): str(digest) for name, digest in entries}


def _line(content: object) -> bytes:
    return json.dumps(content).encode("ascii") + b"\n"

"""A model of which some tensors are in another vocabulary: to a merge a model as any other."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from alnico.checkpoint.header import SIZES, Entry
from alnico.checkpoint.locate import Place
from alnico.checkpoint.opened import Checkpoint
from alnico.merging.vocabulary.rows import Rows


class Renumbered(Checkpoint):
    """The tensors of a model that are indexed by tokens, in the vocabulary of a result.

    It has no files of its own: those of the models that it reads are theirs to check and close.

    Args:
        label: What messages call it.
        metadata: The notes of the model that it stands for.
        rows: What its tensors are made of, by name.
    """

    def __init__(self, label: str, metadata: Mapping[str, str], rows: Mapping[str, Rows]) -> None:
        super().__init__(label, Place(Path(label), None), (), sources=(), closing=ExitStack())
        self.metadata = dict(metadata)
        self.rows = rows
        self.tensors = {
            name: Entry(each.dtype, each.shape, 0, each.where.size * each.width * SIZES[each.dtype])
            for name, each in rows.items()
        }

    def read(self, name: str, start: int, stop: int, out: np.ndarray) -> None:
        """Make entries [start, stop) of a tensor; see `Checkpoint.read`."""
        entry = self._entry(name)
        assert out.nbytes == (stop - start) * SIZES[entry.dtype]
        if start < stop:
            self.rows[name].read(start, stop, out.reshape(-1).view(np.uint8))

"""What stands beside the weights in another vocabulary: the tokenizer's files, and configs."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from alnico.checkpoint.files import writing
from alnico.checkpoint.folder import check_link
from alnico.checkpoint.json_file import read_config
from alnico.checkpoint.opened import Checkpoint
from alnico.merging.vocabulary.settings import KeyPath, new_numbers
from alnico.merging.vocabulary.tokenizer import AddedToken
from alnico.merging.vocabulary.written import as_text, tokenizer_files, write_tokenizer

GENERATION = "generation_config.json"
Writer = Callable[[Path], None]


@dataclass(frozen=True)
class Side:
    """What is written beside the weights, other than the donor has it.

    Args:
        skip: Files of the donor that are not copied.
        writers: Called with the new folder, to write what takes their place.
        config_changes: What the config says otherwise.
    """

    skip: tuple[str, ...] = ()
    writers: tuple[Writer, ...] = ()
    config_changes: Mapping[KeyPath, object] = field(default_factory=dict)

    def __add__(self, other: Side) -> Side:
        return Side(
            (*self.skip, *other.skip),
            (*self.writers, *other.writers),
            {**self.config_changes, **other.config_changes},
        )

    def write(self, folder: Path) -> None:
        """Write the files."""
        for writer in self.writers:
            writer(folder)


def tokenizer_beside(
    donor: Checkpoint,
    owner: Checkpoint,
    *,
    known: Sequence[AddedToken] = (),
    appended: Sequence[AddedToken] = (),
    template: str | None = None,
) -> Side:
    """The tokenizer of a model, with more tokens or another template, instead of the donor's.

    Args:
        donor: The model whose side files are copied.
        owner: The model whose tokenizer it is.
        known: The added tokens that it has.
        appended: Those that it gets.
        template: The chat template; None keeps the owner's.
    """
    is_other = owner.folder != donor.folder
    if owner.folder is None or not (is_other or appended or template is not None):
        return Side()
    skip = () if donor.folder is None else tuple(tokenizer_files(donor.folder))
    write = partial(
        write_tokenizer,
        owner.folder,
        known=tuple(known),
        appended=tuple(appended),
        template=template,
    )
    return Side(skip, (write,))


def numbers_beside(donor: Checkpoint, owner: Checkpoint, moved: Mapping[int, int | None]) -> Side:
    """The numbers of tokens in the donor's configs, in the vocabulary of another model.

    Args:
        donor: The model whose configs are taken.
        owner: The model whose tokens keep their numbers.
        moved: Number in the donor -> number in the result.

    Raises:
        DataError: If the config of generation is damaged.
        UnsafeFileError: If it is a link that leaves the folder, or no plain file.
    """
    if donor.folder is None or donor.config is None:
        return Side()
    own = owner.config or {}
    changes = new_numbers(donor.config, moved, own)
    here, there = _generation(donor.folder), _generation(owner.folder)
    if here is None:
        return Side(config_changes=changes)
    others = new_numbers(here, moved, {**own, **(there or {})})
    if not others:
        return Side(config_changes=changes)
    found: dict[str, Any] = copy.deepcopy(here)
    for (*way, key), value in others.items():
        part = found
        for each in way:
            part = part[each]
        part[key] = value
    return Side((GENERATION,), (partial(_write, GENERATION, as_text(found)),), changes)


def _generation(folder: Path | None) -> dict[str, Any] | None:
    path = None if folder is None else folder / GENERATION
    if path is None or not os.path.lexists(path):
        return None
    check_link(path)
    return read_config(path)


def _write(name: str, text: str, folder: Path) -> None:
    with writing(folder / name):
        (folder / name).write_text(text, "utf-8")

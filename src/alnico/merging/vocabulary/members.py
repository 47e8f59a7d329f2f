"""The tokenizers of the models that are merged."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from pathlib import Path

from alnico.checkpoint.names import vocabulary_axes
from alnico.checkpoint.opened import Checkpoint
from alnico.errors import DataError
from alnico.merging.vocabulary.join import Member
from alnico.merging.vocabulary.tokenizer import CONFIG, TOKENIZER, Tokenizer, read_tokenizer

_SAVE = "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers writes it"


def read_members(
    labels: Sequence[str], models: Sequence[Checkpoint], owner: int
) -> tuple[list[Member], list[str]]:
    """Read the tokenizers of models; one that has none is taken to have the owner's.

    Args:
        labels: What messages call the models.
        models: The models.
        owner: The one whose tokenizer the result has.

    Returns:
        The models with their tokenizers, and what is to be said.

    Raises:
        DataError: If the owner has none, or a model that has none has another number of
            embeddings; or if one cannot be read.
        UnsafeFileError: If one is a link that leaves its folder, or no plain file.
    """
    found = _tokenizers(models)
    own, said = found[owner], []
    if own is None:
        raise DataError(f"{labels[owner]} has no tokenizer in its folder", help=_SAVE)
    counts = [_n_rows(model) for model in models]
    members = []
    for label, model, tokenizer, n in zip(labels, models, found, counts, strict=True):
        if tokenizer is None and n != counts[owner]:
            raise DataError(
                f"{label} has no tokenizer in its folder, and with {n} embeddings not that of "
                f"{labels[owner]}, which has {counts[owner]}",
                help=_SAVE,
            )
        if tokenizer is None:
            said.append(f"{label} has no tokenizer: it is taken to be that of {labels[owner]}")
        members.append(Member(label, model, tokenizer or own, n))
    return members, said


def _tokenizers(models: Sequence[Checkpoint]) -> list[Tokenizer | None]:
    """The tokenizers of models; those in equal files are one."""
    known: dict[Path, Tokenizer | None] = {}
    found: list[Tokenizer | None] = []
    for model in models:
        if model.folder is None:
            found.append(None)
            continue
        like = next((other for other in known if _is_equal(other, model.folder)), None)
        known[model.folder] = read_tokenizer(model.folder) if like is None else known[like]
        found.append(known[model.folder])
    return found


def _is_equal(one: Path, other: Path) -> bool:
    """Whether two folders have the same `tokenizer.json`, and a config of it that is the same."""
    try:
        return all(
            filecmp.cmp(one / name, other / name, shallow=False) for name in (TOKENIZER, CONFIG)
        )
    except OSError:
        return False


def _n_rows(model: Checkpoint) -> int:
    """How many embeddings a model has."""
    shapes = {name: tuple(entry.shape) for name, entry in model.tensors.items()}
    axes = vocabulary_axes(shapes, model.config)
    return max((shapes[name][axis] for name, axis in axes.items()), default=0)

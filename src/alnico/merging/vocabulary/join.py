"""The tokens of a merged model: one model's, whose numbers they keep, and after them all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from alnico.checkpoint.opened import Checkpoint
from alnico.errors import DataError
from alnico.merging.vocabulary.tokenizer import AddedToken, Tokenizer, added_token


@dataclass(frozen=True)
class Member:
    """A model and its tokens.

    Args:
        label: What messages call it.
        checkpoint: The model.
        tokenizer: Its tokens.
        n_rows: How many embeddings it has; a token with a greater number has none.
    """

    label: str
    checkpoint: Checkpoint
    tokenizer: Tokenizer
    n_rows: int


@dataclass(frozen=True)
class Joined:
    """The tokens of the result.

    Args:
        tokens: By number; None where a number has none.
        appended: Those that the owner of the tokenizer lacks, as `tokenizer.json` lists them.
    """

    tokens: tuple[str | None, ...]
    appended: tuple[AddedToken, ...]


def join(owner: Member, others: Sequence[Member], named: Mapping[str, Member | None]) -> Joined:
    """Join the tokens of models; the numbers follow from the order of the models alone.

    Args:
        owner: The model whose tokenizer the result has.
        others: The models whose tokens are added: by number, those that are looked for in the text
            itself after all that are not. A token that its model has no embedding for is left out.
        named: Tokens that are added in any case, and whose flags they take.

    Raises:
        DataError: If the numbers that tokens would get are taken.
    """
    known = owner.tokenizer.ids
    plain: dict[str, AddedToken] = {}
    marked: dict[str, AddedToken] = {}
    for member in others:
        added = member.tokenizer.added
        for token in _embedded(member):
            if token not in known:
                into = marked if token in added else plain
                into.setdefault(token, added.get(token, {}))
    wanted = {token: flags for token, flags in plain.items() if token not in marked} | marked
    for token, source in named.items():
        if token not in known:
            flags = {} if source is None else source.tokenizer.added.get(token, {})
            wanted.setdefault(token, flags)
    return _append(owner, wanted)


def _embedded(member: Member) -> Iterable[str]:
    """The tokens that a model has embeddings for, by number."""
    return (token for token in islice(member.tokenizer.tokens, member.n_rows) if token is not None)


def _append(owner: Member, wanted: Mapping[str, AddedToken]) -> Joined:
    tokens = owner.tokenizer.tokens
    numbers = list(islice(owner.tokenizer.free_ids(), len(wanted)))
    if not wanted:
        return Joined(tuple(tokens), ())
    if any(token is not None for token in tokens[numbers[0] :]):
        raise DataError(
            f"{owner.tokenizer.file} has tokens with greater numbers than it has tokens, so that "
            f"none can be added after {numbers[0] - 1}",
            help="take the tokenizer of another model",
        )
    tokens += [None] * (numbers[0] - len(tokens))
    appended = tuple(
        added_token(token, number, flags)
        for (token, flags), number in zip(wanted.items(), numbers, strict=True)
    )
    return Joined((*tokens[: numbers[0]], *wanted), appended)

"""For every row of the result and every model: the row of which model it is that is merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from alnico.errors import UnknownNameError
from alnico.merging.vocabulary.asked import TokenSource
from alnico.merging.vocabulary.join import Member
from alnico.merging.vocabulary.rows import CENTRE, MEAN, ZERO
from alnico.merging.vocabulary.tokenizer import Tokenizer
from alnico.registry import suggest

NONE = -1
"""The row of a token that a model has not."""


@dataclass(frozen=True)
class Ruled:
    """The source of one token, found.

    Args:
        number: The token, in the result.
        member: Whose row it is; None is zeros.
        row: That row.
        force: Whether it replaces what models have themselves.
    """

    number: int
    member: int | None
    row: int
    force: bool


@dataclass(frozen=True)
class Choice:
    """Where the rows of one tensor come from, in each model.

    Args:
        where: Of each model and row: the model, or one of `rows.ZERO`, `MEAN`, `CENTRE`. [k, n]
        number: The row there, or the column of `means`. [k, n]
        means: The row of each model that enters a mean, or -1. [k, means]
        nowhere: Tokens that no model has a row for.
    """

    where: np.ndarray
    number: np.ndarray
    means: np.ndarray
    nowhere: np.ndarray


def find_rows(
    tokenizer: Tokenizer, tokens: Sequence[str | None], n_rows: int, n_own: int
) -> np.ndarray:
    """The row that a model has for each token of the result, or -1.

    A row without a token in the result is, in each model, the row of that number, if it has no
    token there, either.

    Args:
        tokenizer: The model's.
        tokens: Of the result, by number.
        n_rows: How many rows the result has.
        n_own: How many the model has.
    """
    number_of: Any = tokenizer.ids.get  # None is the number of no token
    found = np.fromiter(map(number_of, tokens, repeat(NONE)), np.int64, len(tokens))
    rows = np.full(n_rows, NONE, np.int64)
    rows[: len(found)] = found[:n_rows]
    is_free = np.ones(max(n_rows, n_own), bool)
    used = np.fromiter(tokenizer.ids.values(), np.int64, len(tokenizer.ids))
    is_free[used[used < len(is_free)]] = False
    has_token = np.zeros(n_rows, bool)
    is_token = np.fromiter((token is not None for token in tokens), bool, len(tokens))
    has_token[: len(tokens)] = is_token[:n_rows]
    padding = np.flatnonzero(~has_token & is_free[:n_rows])
    rows[padding] = padding
    rows[rows >= n_own] = NONE
    return rows


def find_ruled(
    rules: Mapping[str, TokenSource], numbers: Mapping[str, int], members: Sequence[Member]
) -> list[Ruled]:
    """Find the rows that single tokens are to have.

    Args:
        rules: By token.
        numbers: Token -> number in the result.
        members: The models.

    Raises:
        UnknownNameError: If a model has no such token, or no row for it.
    """
    labels = [member.label for member in members]
    found = []
    for token, rule in rules.items():
        at = None if rule.model is None else labels.index(rule.model)
        row = 0 if at is None else _row(token, rule, members[at])
        found.append(Ruled(numbers[token], at, row, rule.force))
    return found


def choose(rows: np.ndarray, ruled: Sequence[Ruled], *, base: int | None, centred: int) -> Choice:
    """Choose every row of a tensor in every model.

    A model's own row comes first. For a token that it lacks: what the token's rule says; else the
    base's row; else the mean of those models that have one; else zeros.

    Args:
        rows: The row of each token in each model that is merged, or -1. [k, n]
        ruled: The sources of single tokens.
        base: The model whose rows the others take.
        centred: From which row on all are the mean of those before.
    """
    k, n = rows.shape
    counts = (rows >= 0).sum(0)
    where = np.where(counts > 1, MEAN, np.where(counts == 1, (rows >= 0).argmax(0), ZERO))
    if base is not None:
        where[rows[base] >= 0] = base
    forced = np.zeros(n, bool)
    given = rows.max(0, initial=NONE)
    number = np.where(where >= 0, np.take_along_axis(rows, np.maximum(where, 0)[None], 0)[0], 0)
    for rule in ruled:
        if rule.number >= n:
            continue
        where[rule.number] = ZERO if rule.member is None else rule.member
        number[rule.number] = rule.row
        given[rule.number] = 0
        forced[rule.number] = rule.force
    columns = np.flatnonzero(where == MEAN)
    number[columns] = np.arange(len(columns))
    is_own = (rows >= 0) & ~forced
    models = np.arange(k)[:, None]
    chosen, numbers = np.where(is_own, models, where), np.where(is_own, rows, number)
    chosen[:, centred:], numbers[:, centred:] = CENTRE, 0
    nowhere = np.flatnonzero(given[:centred] < 0)
    return Choice(chosen, numbers, rows[:, columns], nowhere)


def _row(token: str, rule: TokenSource, member: Member) -> int:
    ids = member.tokenizer.ids
    if rule.token_id is not None:
        row = rule.token_id
        shown = f"token {row}"
    else:
        wanted = token if rule.token is None else rule.token
        shown = f"the token {wanted!r}"
        if wanted not in ids:
            raise UnknownNameError(
                f"{member.label} has no token {wanted!r}, which the embedding of {token!r} is to "
                "be taken from",
                help=suggest(wanted, ids, all_of_them="its tokens are"),
            )
        row = ids[wanted]
    if row >= member.n_rows:
        raise UnknownNameError(
            f"{member.label} has no embedding of {shown}: it has {member.n_rows}",
            help="name another token, or {kind: zero}",
        )
    return row

"""What can be asked of a merged model's tokenizer. Models are named as the plan names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["union", "base", "model"]
"""The tokens of all models; those of the base, or of the first where there is none; a model's."""


@dataclass(frozen=True)
class TokenSource:
    """Where the embedding of one token comes from.

    Args:
        model: Whose embedding it is; None makes it zeros.
        token: The model's token that it is taken from; None is the token of the same text.
        token_id: That token by its number, instead.
        force: Whether it replaces the embedding in the models that have the token, too.
    """

    model: str | None = None
    token: str | None = None
    token_id: int | None = None
    force: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """What a merged model's tokenizer is to be.

    Args:
        kind: Whose tokens it has; None leaves the tokenizer as it is.
        model: The model, if it is one's.
        tokens: Sources of single tokens; a token that is missing is added.
        pad_to_multiple_of: What the number of embeddings is a multiple of.
        exact: Whether the result must have mergekit's very bits: rows that belong to no token are
            left out, not merged as they are, and means are of torch and of the tensors' dtype.
        chat_template: `auto` is the one that most models have; or the name of one of `templates`;
            or Jinja. None leaves it as it is.
    """

    kind: Kind | None = "union"
    model: str | None = None
    tokens: Mapping[str, TokenSource] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None
    exact: bool = False
    chat_template: str | None = None

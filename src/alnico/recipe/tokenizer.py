"""The key `tokenizer` of a recipe: whose tokens the result has, and whose embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from alnico.recipe.faults import Faults, shown
from alnico.recipe.located import Located
from alnico.recipe.parts import BASE, UNION, ZERO
from alnico.recipe.reading import Names, read_keys, read_text
from alnico.recipe.steps import Scope, read_model

if TYPE_CHECKING:
    from alnico.merging.vocabulary import TokenSource, Vocabulary

KEYS = ("source", "tokens", "pad_to_multiple_of", "chat_template")
RULE_KEYS = ("model", "token", "token_id", "force")


def read_tokenizer(at: Located | None, scope: Scope, faults: Faults) -> Vocabulary | None:
    """Read what the tokenizer of the result is to be; None if the recipe does not say.

    Args:
        at: Its source, or a mapping with it.
        scope: The models that it may speak of.
        faults: Where faults are noted.
    """
    if at is None:
        return None
    if not isinstance(at.value, dict):
        return _read_source(at, scope, faults, what="tokenizer")
    given = read_keys(at, KEYS, faults, what="tokenizer")
    template = read_text(given.pop("chat_template", None), faults, what="chat_template")
    source = given.pop("source", None)
    if source is None and (given or template is None):
        faults.add(at.line, "tokenizer has no source", "write source: union")
    return replace(
        _read_source(source, scope, faults, what="source"),
        tokens=_read_tokens(given.get("tokens"), scope, faults),
        pad_to_multiple_of=_read_whole(given.get("pad_to_multiple_of"), faults, least=1),
        chat_template=template,
    )


def _read_source(at: Located | None, scope: Scope, faults: Faults, *, what: str) -> Vocabulary:
    """Whose tokens: those of all, of the base or of a model; without a source they are kept."""
    from alnico.merging.vocabulary import Vocabulary  # numpy, which few recipes need

    known = scope.names.models
    words = Names(None if known is None else (*known, UNION), scope.names.whose)
    name = read_model(at, words, scope, faults, what=what)
    if name is None:
        return Vocabulary(None)
    if name == UNION:
        return Vocabulary("union")
    return Vocabulary("base") if name == BASE else Vocabulary("model", name)


def _read_tokens(at: Located | None, scope: Scope, faults: Faults) -> Mapping[str, TokenSource]:
    if at is None:
        return {}
    if not isinstance(at.value, dict):
        text = f"tokens must be a mapping from tokens to models, got {shown(at.plain())}"
        faults.add(at.line, text, 'write tokens: {"<pad>": MODEL}')
        return {}
    return {token: _read_rule(rule, token, scope, faults) for token, rule in at.value.items()}


def _read_rule(at: Located, token: str, scope: Scope, faults: Faults) -> TokenSource:
    """A model, `zero`, or a mapping with it."""
    from alnico.merging.vocabulary import TokenSource

    given, what = {"model": at}, f"the token {shown(token)}"
    if isinstance(at.value, dict):
        given = read_keys(at, RULE_KEYS, faults, what=what)
        if "model" not in given:
            faults.add(at.line, f"{what} has no model", "name one, or write model: zero")
    if {"token", "token_id"} <= given.keys():
        faults.add(at.line, f"{what} has both token and token_id", "leave one out")
    known = scope.names.models
    words = Names(None if known is None else (*known, ZERO), scope.names.whose)
    model = read_model(given.get("model"), words, scope, faults, what=what)
    if model == ZERO and {"token", "token_id"} & given.keys():
        faults.add(at.line, f"{what}: zero has no tokens", "name a model")
    return TokenSource(
        None if model == ZERO else model,
        read_text(given.get("token"), faults, what="token"),
        _read_whole(given.get("token_id"), faults, least=0, what="token_id"),
        _read_force(given.get("force"), faults),
    )


def _read_whole(
    at: Located | None, faults: Faults, *, least: int, what: str = "pad_to_multiple_of"
) -> int | None:
    if at is None:
        return None
    if type(at.value) is not int or at.value < least:
        text = f"{what} must be a whole number from {least} on, got {shown(at.plain())}"
        faults.add(at.line, text)
        return None
    return at.value


def _read_force(at: Located | None, faults: Faults) -> bool:
    if at is None:
        return False
    if not isinstance(at.value, bool):
        faults.add(at.line, f"force must be true or false, got {shown(at.plain())}")
    return at.value is True

"""What a recipe asks of the tokenizer: `tokenizer`, `tokenizer_source`, `chat_template`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from alnico.recipe.faults import shown
from alnico.recipe.mergekit.reading import Reading, Where
from alnico.recipe.mergekit.references import read_reference
from alnico.recipe.mergekit.schema import Reference, TokenizerBlock, TokenRule

LEGACY = "model:"


def read_tokenizer(reading: Reading) -> TokenizerBlock | None:
    """The block, or None if the recipe says nothing of the tokenizer.

    Args:
        reading: The recipe, and where faults are noted.
    """
    block = reading.at(("tokenizer",))
    source = reading.at(("tokenizer_source",))
    template = reading.at(("chat_template",))
    if template is not None:
        template = reading.text(("chat_template",))
    if block is not None and source is not None:
        text = "tokenizer and tokenizer_source say the same thing"
        reading.fault(("tokenizer_source",), text, help="keep tokenizer alone")
    if block is not None:
        return _read_block(reading, template)
    if source is not None:
        return TokenizerBlock(_read_source(reading, ("tokenizer_source",)), chat_template=template)
    return None if template is None else TokenizerBlock(chat_template=template)


def _read_block(reading: Reading, template: str | None) -> TokenizerBlock:
    where: Where = ("tokenizer",)
    keys = reading.keys(where, ["source", "tokens", "pad_to_multiple_of"])
    source = _read_source(reading, (*where, "source")) if "source" in keys else "union"
    tokens = {}
    if "tokens" in keys:
        found = reading.at((*where, "tokens"))
        if isinstance(found, Mapping):
            tokens = {str(name): _read_token(reading, str(name)) for name in found}
        else:
            text = f"tokens must be a mapping from tokens to rules, got {shown(found)}"
            reading.fault((*where, "tokens"), text)
    padded = reading.at((*where, "pad_to_multiple_of"))
    if padded is not None and (type(padded) is not int or padded < 1):
        text = f"pad_to_multiple_of must be a whole number above 0, got {shown(padded)}"
        reading.fault((*where, "pad_to_multiple_of"), text)
        padded = None
    kept = {name: rule for name, rule in tokens.items() if rule is not None}
    return TokenizerBlock(source, kept, padded, template)


def _read_source(reading: Reading, where: Where) -> Literal["union", "base"] | Reference | None:
    value = reading.at(where)
    if value == "union" or value == "base":
        return value
    found = read_reference(reading, where)
    if found is None or not found.path.startswith(LEGACY):
        return found
    text = f"{where[-1]}: {value} is written as in mergekit 0.0.4"
    path = found.path.removeprefix(LEGACY)
    reading.say(where, text, help=f"write {path}")
    return Reference(path, found.revision)


def _read_token(reading: Reading, name: str) -> TokenRule | None:
    where: Where = ("tokenizer", "tokens", name)
    keys = reading.keys(where, ["source", "force"])
    force = reading.at((*where, "force")) if "force" in keys else False
    if not isinstance(force, bool):
        reading.fault((*where, "force"), f"force must be true or false, got {shown(force)}")
        return None
    if "source" not in keys:
        text = f"{name} has no source"
        reading.fault(where, text, help="name a model, or write {kind: zero}")
        return None
    source = (*where, "source")
    found = reading.at(source)
    if isinstance(found, Mapping) and "kind" in found:
        return _read_kind(reading, source, force)
    model = read_reference(reading, source)
    return None if model is None else TokenRule("model", model, force=force)


def _read_kind(reading: Reading, where: Where, force: bool) -> TokenRule | None:
    kind = reading.at((*where, "kind"))
    if kind == "zero":
        reading.keys(where, ["kind"])
        return TokenRule("zero", force=force)
    if kind != "model_token":
        text = f"there is no kind of source {shown(kind)}"
        reading.fault((*where, "kind"), text, help="kinds are zero and model_token")
        return None
    keys = reading.keys(where, ["kind", "model", "token", "token_id"])
    model = read_reference(reading, (*where, "model"))
    if ("token" in keys) == ("token_id" in keys):
        reading.fault(where, "model_token needs either token or token_id", help="give one of them")
        return None
    token, number = reading.at((*where, "token")), reading.at((*where, "token_id"))
    if number is not None and (type(number) is not int or number < 0):
        text = f"token_id must be a whole number from 0, got {shown(number)}"
        reading.fault((*where, "token_id"), text)
        return None
    if model is None:
        return None
    return TokenRule("model_token", model, None if token is None else str(token), number, force)

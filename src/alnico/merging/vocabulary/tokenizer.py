"""The tokens of a model, read from its folder as data: no code of the model or of a library is run.

`tokenizer.json` is what every fast tokenizer is made of; `vocab.json`, `vocab.txt` are read, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeAlias

from alnico.checkpoint.folder import check_link
from alnico.checkpoint.json_file import read_config, read_tokenizer_file
from alnico.checkpoint.regular import RegularFile
from alnico.errors import DataError

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
MAX_ID = 2**24
"""No tokenizer has more tokens."""

MAX_TEXT = 100_000_000
AddedToken: TypeAlias = Mapping[str, object]
"""A token that is looked for in the text itself, as `tokenizer.json` lists it."""

_PIECES = ("*.model", "*.spm", "*.tiktoken", "tekken.json")
_SPECIAL = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class Tokenizer:
    """The tokens of a model.

    Args:
        file: Where they were read from.
        ids: Token -> number.
        added: Those of them that are looked for in the text itself, in their order.
        n_inner: How many tokens there are without those.
    """

    file: Path
    ids: Mapping[str, int]
    added: Mapping[str, AddedToken]
    n_inner: int

    @property
    def tokens(self) -> list[str | None]:
        """Number -> token; None where a number has none."""
        found: list[str | None] = [None] * (max(self.ids.values(), default=-1) + 1)
        for token, number in self.ids.items():
            found[number] = token
        return found

    def free_ids(self) -> Iterator[int]:
        """The numbers that tokens get which are added, by the rule of the library `tokenizers`."""
        return count(_next_id(self.ids, self.added, self.n_inner))


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """Read the tokens of a model.

    Args:
        folder: The model's.

    Returns:
        The tokens; None if the folder holds no tokenizer.

    Raises:
        DataError: If a file is damaged, or is of a kind that cannot be read.
        UnsafeFileError: If one is a link that leaves the folder, or no plain file.
    """
    if _holds(folder, TOKENIZER):
        return _from_json(folder)
    if _holds(folder, "vocab.json"):
        path = folder / "vocab.json"
        return _plain(path, _numbers(read_tokenizer_file(path), path))
    if _holds(folder, "vocab.txt"):
        path = folder / "vocab.txt"
        tokens = _lines(path)
        return _plain(path, dict(zip(tokens, range(len(tokens)), strict=True)))
    pieces = sorted(path for pattern in _PIECES for path in folder.glob(pattern))
    if pieces:
        raise DataError(
            f"{pieces[0]} is a tokenizer that is not read",
            help=f"write {TOKENIZER} with transformers: tokenizer = "
            "AutoTokenizer.from_pretrained(folder); tokenizer.save_pretrained(folder)",
        )
    return None


def added_token(content: str, number: int, flags: Mapping[str, object] | None = None) -> AddedToken:
    """A token as `tokenizer.json` lists it.

    Args:
        content: Its text.
        number: Its number.
        flags: How it is looked for; what is not said is as if the token were added as a text.
    """
    said = flags or {}
    usual = {name: name == "normalized" and not said.get("special", False) for name in _FLAGS}
    kept = {name: said.get(name, default) is True for name, default in usual.items()}
    return {"id": number, "content": content, **kept}


def _from_json(folder: Path) -> Tokenizer:
    path = folder / TOKENIZER
    data = read_tokenizer_file(path)
    model, listed = data.get("model"), data.get("added_tokens", [])
    inner = _inner(model.get("vocab") if isinstance(model, dict) else None, path)
    if not isinstance(listed, list):
        raise _refusal(path, "its added tokens are no list")
    added: dict[str, AddedToken] = {}
    for entry in listed:
        content, number = _read_added(entry, path)
        number = inner.get(content, number)
        added[content] = added_token(content, number, entry)
    ids = {content: _number(entry["id"], path) for content, entry in added.items()} | inner
    for content, flags in _implied(folder):
        if content not in ids:
            ids[content] = _next_id(ids, added, len(inner))
            added[content] = added_token(content, ids[content], flags)
    return Tokenizer(path, ids, added, len(inner))


def _inner(vocab: object, path: Path) -> dict[str, int]:
    """The tokens that the model of a tokenizer has: by number, or as a list with their scores."""
    if isinstance(vocab, dict):
        return _numbers(vocab, path)
    if not isinstance(vocab, list):
        raise _refusal(path, "it has no tokens")
    tokens = [pair[0] if isinstance(pair, list) and pair else None for pair in vocab]
    if not all(isinstance(token, str) for token in tokens):
        raise _refusal(path, "a token is no text")
    return dict(zip(map(str, tokens), range(len(tokens)), strict=True))


def _implied(folder: Path) -> Iterable[tuple[str, Mapping[str, object]]]:
    """The tokens that the tokenizer's config names: they are added if it lacks them."""
    if not _holds(folder, CONFIG):
        return
    says = read_config(folder / CONFIG)
    decoder = says.get("added_tokens_decoder")
    if isinstance(decoder, dict) and all(key.isdecimal() for key in decoder):
        for key in sorted(decoder, key=int):
            yield from _named(decoder[key], {})
    special = [says.get(f"{name}_token") for name in _SPECIAL]
    for name in _LISTS:
        more = says.get(name)
        special += more.values() if isinstance(more, dict) else []
        special += more if isinstance(more, list) else []
    for value in special:
        yield from _named(value, {"special": True})


def _named(value: object, flags: Mapping[str, object]) -> Iterator[tuple[str, AddedToken]]:
    if isinstance(value, str) and value:
        yield value, flags
    elif isinstance(value, dict) and isinstance(value.get("content"), str) and value["content"]:
        yield value["content"], {**value, **flags}


def _next_id(ids: Mapping[str, int], added: Mapping[str, AddedToken], n_inner: int) -> int:
    return max(n_inner, max((ids[content] for content in added), default=-1) + 1)


def _plain(path: Path, inner: dict[str, int]) -> Tokenizer:
    """A tokenizer of older files, which keep the tokens that were added to it apart."""
    beside = path.with_name("added_tokens.json")
    more = _numbers(read_config(beside), beside) if _holds(path.parent, beside.name) else {}
    added = {token: added_token(token, number) for token, number in more.items()}
    return Tokenizer(path, {**more, **inner}, added, len(inner))


def _lines(path: Path) -> list[str]:
    with RegularFile(path) as file:
        if file.size > MAX_TEXT:
            raise _refusal(path, "it is too large")
        data = file.read(0, file.size)
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise _refusal(path, "it is not in UTF-8") from None
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def _numbers(found: Mapping[str, object], path: Path) -> dict[str, int]:
    return {token: _number(value, path) for token, value in found.items()}


def _number(value: object, path: Path) -> int:
    if type(value) is not int or not 0 <= value < MAX_ID:
        raise _refusal(path, f"the number of a token is {str(value)[:40]!r}")
    return value


def _read_added(entry: object, path: Path) -> tuple[str, int]:
    content = entry.get("content") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(content, str):
        raise _refusal(path, "an added token has no text")
    return content, _number(entry.get("id"), path)


def _holds(folder: Path, name: str) -> bool:
    if not os.path.lexists(folder / name):
        return False
    check_link(folder / name)
    return True


def _refusal(path: Path, fault: str) -> DataError:
    return DataError(
        f"{path} is not sound: {fault}", help="it is damaged; get it again from its source"
    )

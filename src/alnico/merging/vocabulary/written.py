"""The tokenizer's files of a merged model: a model's, with tokens added and the template set."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from alnico.checkpoint.files import writing
from alnico.checkpoint.json_file import read_config, read_tokenizer_file
from alnico.checkpoint.side_files import copy_side_files
from alnico.errors import DataError
from alnico.merging.vocabulary.templates import IN_JSON, JINJA
from alnico.merging.vocabulary.tokenizer import CONFIG, TOKENIZER, AddedToken

ADDED = "added_tokens.json"

_NAMES = (
    *("tokenizer*", "vocab.*", "vocab*.txt", "merges.txt", "special_tokens_map.json", ADDED),
    *("normalizer.json", "tekken.json", "bpe.codes", "*.model", "*.tiktoken", "*.spm"),
    *(IN_JSON, "*.jinja", "additional_chat_templates/*.jinja"),
)


def tokenizer_files(folder: Path) -> list[str]:
    """The names of the files of a model's tokenizer, its chat templates among them."""
    return [name for name in _names(folder) if any(fnmatchcase(name, each) for each in _NAMES)]


def write_tokenizer(
    source: Path,
    folder: Path,
    *,
    known: Sequence[AddedToken] = (),
    appended: Sequence[AddedToken] = (),
    template: str | None = None,
) -> None:
    """Write a model's tokenizer with more tokens, or another template; all else is as it was.

    Args:
        source: The folder of the model.
        folder: Where it is written.
        known: The added tokens that it has.
        appended: Those that it gets.
        template: The chat template; None keeps the model's.

    Raises:
        DataError: If a file cannot be read.
        OutputError: If one cannot be written.
    """
    made: dict[str, str] = {}
    has = {name for name in (TOKENIZER, CONFIG, ADDED) if os.path.lexists(source / name)}
    if appended:
        data = read_tokenizer_file(source / TOKENIZER)
        made[TOKENIZER] = as_text({**data, "added_tokens": [*known, *appended]})
    if appended and ADDED in has:
        more = {str(each["content"]): each["id"] for each in appended}
        made[ADDED] = as_text({**read_config(source / ADDED), **more})
    if CONFIG in has and (appended or template is not None):
        made[CONFIG] = as_text(_config(read_config(source / CONFIG), appended, template))
    replaced = set(made)
    if template is not None:
        replaced |= {JINJA, IN_JSON}
        made[JINJA] = template
    own = set(tokenizer_files(source)) - replaced
    copy_side_files(source, folder, skip=[name for name in _names(source) if name not in own])
    for name, text in made.items():
        with writing(folder / name):
            (folder / name).write_text(text, "utf-8")


def as_text(found: Mapping[str, object]) -> str:
    """JSON as tokenizers are written: indented, in UTF-8.

    Raises:
        DataError: If a text is no Unicode, as half a surrogate pair is.
    """
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        part = error.object[max(0, error.start - 20) : error.end + 20]
        raise DataError(
            f"a tokenizer has a text that is no Unicode: {part!r}",
            help="it is damaged; get it again from its source",
        ) from None
    return text


def _config(
    says: Mapping[str, object], appended: Sequence[AddedToken], template: str | None
) -> dict[str, object]:
    found = dict(says)
    decoder = found.get("added_tokens_decoder")
    if isinstance(decoder, dict):
        more = {
            str(each["id"]): {key: value for key, value in each.items() if key != "id"}
            for each in appended
        }
        found["added_tokens_decoder"] = {**decoder, **more}
    if template is not None:
        found["chat_template"] = template
    return found


def _names(folder: Path) -> list[str]:
    """The files of a folder and of its folders."""
    paths = [*folder.glob("*"), *folder.glob("*/*")]
    return sorted(path.relative_to(folder).as_posix() for path in paths if not path.is_dir())

"""Chat templates: those that are known by name, and the one that most models have."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from alnico.checkpoint.folder import check_link
from alnico.checkpoint.json_file import read_config
from alnico.checkpoint.regular import RegularFile
from alnico.errors import DataError, RecipeError
from alnico.merging.vocabulary.tokenizer import CONFIG
from alnico.registry import suggest

JINJA = "chat_template.jinja"
IN_JSON = "chat_template.json"
AUTO = "auto"
MAX_BYTES = 2**20

TEMPLATES = {
    "alpaca": r"""
{%- for message in messages -%}
    {%- if message['role'] == 'user' -%}
        {{- '### Instruction:\n' + message['content'] + '\n\n' -}}
    {%- elif message['role'] == 'assistant' -%}
        {{- '### Response:\n' + message['content'] + '\n\n' -}}
    {%- else -%}
        {{- message['content'] + '\n\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '### Response:\n' -}}
{%- endif -%}
""",
    "chatml": r"""
{%- for message in messages -%}
    {{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\n' -}}
{%- endif -%}
""",
    "exaone": r"""
{%- for message in messages -%}
    {{- '[|' + message['role'] + '|]' + message['content'] -}}
    {{- '\n' if message['role'] == 'user' else '[|endofturn|]\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '[|assistant|]' -}}
{%- endif -%}
""",
    "llama3": r"""
{{- bos_token -}}
{%- for message in messages -%}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' -}}
    {{- message['content'] | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{%- endif -%}
""",
    "mistral": r"""
{{- bos_token -}}
{%- set before = namespace(text='') -%}
{%- for message in messages -%}
    {%- if message['role'] == 'user' -%}
        {{- '[INST] ' + before.text + message['content'] + ' [/INST]' -}}
        {%- set before.text = '' -%}
    {%- elif message['role'] == 'assistant' -%}
        {{- ' ' + message['content'] + eos_token -}}
    {%- else -%}
        {%- set before.text = message['content'] + '\n\n' -%}
    {%- endif -%}
{%- endfor -%}
""",
}
"""Name -> Jinja. What a template's model calls its parts is that model's; the texts are ours."""


def find_template(asked: str, folders: Iterable[Path]) -> str | None:
    """The template that is asked for; None if the most common one is asked for and there is none.

    Args:
        asked: `auto`, the name of one of `TEMPLATES`, or Jinja.
        folders: The models' folders, in which templates are looked for.

    Raises:
        RecipeError: If it is none of these.
        DataError: If a model's template cannot be read.
        UnsafeFileError: If it is a link that leaves the folder, or no plain file.
    """
    if asked == AUTO:
        found = Counter(text for text in map(read_template, folders) if text is not None)
        return found.most_common(1)[0][0] if found else None
    if asked in TEMPLATES:
        return TEMPLATES[asked].strip("\n")
    if "{{" not in asked and "{%" not in asked:
        raise RecipeError(
            f"chat_template: {asked[:80]!r} is no name of a template, and no Jinja",
            help=suggest(asked[:80], [AUTO, *TEMPLATES], all_of_them="names are"),
        )
    return asked


def read_template(folder: Path) -> str | None:
    """The chat template of a model; None if it has none.

    Raises:
        DataError: If it cannot be read.
        UnsafeFileError: If it is a link that leaves the folder, or no plain file.
    """
    for name in (JINJA, IN_JSON, CONFIG):
        path = folder / name
        if not os.path.lexists(path):
            continue
        check_link(path)
        found = _text(path) if name == JINJA else _default(read_config(path).get("chat_template"))
        if found is not None:
            return found
    return None


def _default(found: object) -> str | None:
    """A template as JSON has it: a text, or a list of them by name."""
    if isinstance(found, list):
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else None


def _text(path: Path) -> str:
    with RegularFile(path) as file:
        data = bytes(file.read(0, min(file.size, MAX_BYTES + 1)))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not in UTF-8", help="get it again from its source") from None
    if len(data) > MAX_BYTES:
        raise DataError(f"{path} is too large for a template", help="get it again from its source")
    return text

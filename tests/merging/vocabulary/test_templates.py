from __future__ import annotations

import json
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alnico.errors import DataError, RecipeError, UnsafeFileError
from alnico.merging.vocabulary.templates import TEMPLATES, find_template, read_template

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Bye"},
]
SAID = {
    "alpaca": "Be kind.\n\n### Instruction:\nHi\n\n### Response:\nHello!\n\n"
    "### Instruction:\nBye\n\n### Response:\n",
    "chatml": "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
    "<|im_start|>assistant\n",
    "exaone": "[|system|]Be kind.[|endofturn|]\n[|user|]Hi\n[|assistant|]Hello![|endofturn|]\n"
    "[|user|]Bye\n[|assistant|]",
    "llama3": "<s><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<s>[INST] Be kind.\n\nHi [/INST] Hello!</s>[INST] Bye [/INST]",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_write_what_their_models_were_trained_on(name: str) -> None:
    place = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)  # transformers' own
    template = place.from_string(find_template(name, []) or "")
    given = {"bos_token": "<s>", "eos_token": "</s>"}
    said = template.render(messages=TALK, add_generation_prompt=True, **given)
    assert said == SAID[name]
    assert said.startswith(template.render(messages=TALK, add_generation_prompt=False, **given))


def folder(parent: Path, name: str, **files: object) -> Path:
    found = parent / name
    found.mkdir()
    for file, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        ending = "jinja" if isinstance(content, str) else "json"
        (found / f"{file}.{ending}").write_text(text)
    return found


def test_a_template_is_found_wherever_a_model_has_it(tmp_path: Path) -> None:
    places = {
        "own file": {"chat_template": "{{ 1 }}", "tokenizer_config": {"chat_template": "{{ 2 }}"}},
        "json": {"chat_template": {"chat_template": "{{ 1 }}"}},
        "config": {"tokenizer_config": {"chat_template": "{{ 1 }}"}},
        "list": {
            "tokenizer_config": {
                "chat_template": [
                    {"name": "tool_use", "template": "{{ 2 }}"},
                    {"name": "default", "template": "{{ 1 }}"},
                ]
            }
        },
    }
    for name, files in places.items():
        assert read_template(folder(tmp_path, name, **files)) == "{{ 1 }}", name
    assert read_template(folder(tmp_path, "none", tokenizer_config={})) is None


def test_auto_is_the_template_that_most_models_have(tmp_path: Path) -> None:
    texts = ["{{ 1 }}", "{{ 2 }}", "{{ 2 }}"]
    folders = [folder(tmp_path, str(i), chat_template=text) for i, text in enumerate(texts)]
    folders.append(folder(tmp_path, "none"))
    assert find_template("auto", folders) == "{{ 2 }}"
    assert find_template("auto", folders[:2]) == "{{ 1 }}"  # the first, where none has more
    assert find_template("auto", folders[3:]) is None


def test_jinja_is_taken_as_it_is() -> None:
    text = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    assert find_template(text, []) == text


def test_a_name_that_is_none_is_told() -> None:
    with pytest.raises(RecipeError, match="'chatlm' is no name of a template") as caught:
        find_template("chatlm", [])
    assert caught.value.help == "did you mean 'chatml'?"


def test_a_damaged_template_is_told(tmp_path: Path) -> None:
    damaged = folder(tmp_path, "damaged")
    (damaged / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(DataError, match="not in UTF-8"):
        read_template(damaged)
    (damaged / "chat_template.jinja").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(DataError, match="too large for a template"):
        read_template(damaged)


def test_a_link_that_leaves_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{{ 1 }}")
    model = folder(tmp_path, "model")
    (model / "chat_template.jinja").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeFileError, match="leaves the folder"):
        read_template(model)

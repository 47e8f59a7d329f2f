from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from alnico.errors import DataError
from alnico.merging.vocabulary.tokenizer import added_token, read_tokenizer
from alnico.merging.vocabulary.written import as_text, tokenizer_files, write_tokenizer


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder of a model with a tokenizer and other files."""
    folder = tmp_path / "source"
    (folder / "additional_chat_templates").mkdir(parents=True)
    tokenizer = Tokenizer(models.WordLevel({"<s>": 0, "día": 1}, unk_token="<s>"))
    tokenizer.add_special_tokens(["<s>", "<pad>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    texts = {
        "tokenizer_config.json": '{"added_tokens_decoder": {"2": {"content": "<pad>"}}, "z": 1}',
        "added_tokens.json": '{"<pad>": 2}',
        "special_tokens_map.json": "{}",
        "chat_template.jinja": "{{ 1 }}",
        "additional_chat_templates/tools.jinja": "{{ 2 }}",
        "config.json": "{}",
        "generation_config.json": "{}",
        "README.md": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_files_of_a_tokenizer_are_known(source: Path) -> None:
    assert set(tokenizer_files(source)) == written(source) - {
        "config.json",
        "generation_config.json",
        "README.md",
    }


def test_a_tokenizer_is_copied_whole_and_nothing_beside_it(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_tokenizer(source, out)
    assert written(out) == set(tokenizer_files(source))
    for name in written(out):
        assert (out / name).read_bytes() == (source / name).read_bytes()


def test_added_tokens_stand_in_every_file_that_lists_them(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    found = read_tokenizer(source)
    assert found is not None
    more = [added_token("<|im|>", 3, {"special": True}), added_token("niño", 4)]
    write_tokenizer(source, out, known=tuple(found.added.values()), appended=more)
    again = Tokenizer.from_file(str(out / "tokenizer.json"))
    assert again.get_vocab() == {**found.ids, "<|im|>": 3, "niño": 4}
    flags = again.get_added_tokens_decoder()
    assert flags[3].special and not flags[4].special and flags[4].normalized
    config = json.loads((out / "tokenizer_config.json").read_text())
    assert config["z"] == 1 and list(config["added_tokens_decoder"]) == ["2", "3", "4"]
    assert config["added_tokens_decoder"]["3"]["special"] is True
    assert json.loads((out / "added_tokens.json").read_text()) == {
        "<pad>": 2,
        "<|im|>": 3,
        "niño": 4,
    }
    assert "niño" in (out / "tokenizer.json").read_text("utf-8")


def test_a_template_takes_the_place_of_every_other(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (source / "chat_template.json").write_text('{"chat_template": "{{ 3 }}"}')
    write_tokenizer(source, out, template="{{ 4 }}")
    assert (out / "chat_template.jinja").read_text() == "{{ 4 }}"
    assert json.loads((out / "tokenizer_config.json").read_text())["chat_template"] == "{{ 4 }}"
    assert not (out / "chat_template.json").exists()
    assert (out / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()


def test_a_text_that_is_no_unicode_is_told() -> None:
    with pytest.raises(DataError, match="no Unicode"):
        as_text({"vocab": "\ud800"})

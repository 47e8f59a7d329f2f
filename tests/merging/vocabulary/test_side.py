from __future__ import annotations

import json
from typing import Any

import pytest

from alnico.checkpoint.opened import open_checkpoint
from alnico.errors import DataError
from alnico.merging.vocabulary import Vocabulary
from alnico.merging.vocabulary.side import Side, numbers_beside, tokenizer_beside
from alnico.merging.vocabulary.tokenizer import added_token


def test_the_donors_own_tokenizer_is_copied_as_ever(family: Any) -> None:
    with open_checkpoint(family.add("a", "the cat")) as donor:
        assert tokenizer_beside(donor, donor) == Side()


def test_another_tokenizer_takes_the_place_of_all_of_the_donors_files(family: Any) -> None:
    folders = [family.add("a", "the cat"), family.add("b", "dog")]
    (folders[0] / "chat_template.jinja").write_text("{{ 1 }}")
    (folders[1] / "merges.txt").write_text("")
    merged = family.merge("a b", Vocabulary("model", "b"))
    names = {path.name for path in merged.folder.iterdir()}
    assert "merges.txt" in names and "chat_template.jinja" not in names
    theirs = (folders[1] / "tokenizer.json").read_bytes()
    assert (merged.folder / "tokenizer.json").read_bytes() == theirs


def test_all_other_files_of_the_donor_stay(family: Any) -> None:
    folder = family.add("a", "the cat")
    family.add("b", "dog")
    for name in ("generation_config.json", "preprocessor_config.json"):
        (folder / name).write_text('{"top_k": 3}')
    (folder / "LICENSE").write_text("ours")
    merged = family.merge("a b")
    assert merged.json("generation_config.json") == {"top_k": 3}
    assert merged.json("preprocessor_config.json") == {"top_k": 3}
    assert (merged.folder / "LICENSE").read_text() == "ours"


def test_a_template_alone_leaves_the_tokens_as_they_are(family: Any) -> None:
    folder = family.add("a", "the cat")
    family.add("b", "the cat")
    merged = family.merge("a b", Vocabulary(None, chat_template="chatml"))
    assert "<|im_start|>" in (merged.folder / "chat_template.jinja").read_text()
    own = (folder / "tokenizer.json").read_bytes()
    assert (merged.folder / "tokenizer.json").read_bytes() == own
    from transformers import AutoTokenizer

    talk = [{"role": "user", "content": "Hi"}]
    said = AutoTokenizer.from_pretrained(merged.folder).apply_chat_template(talk, tokenize=False)
    assert said == "<|im_start|>user\nHi<|im_end|>\n"


def test_no_template_is_said_where_none_is_found(family: Any) -> None:
    family.add("a", "the cat")
    merged = family.merge("a", Vocabulary(None, chat_template="auto"))
    assert merged.said == ("no model has a chat template",)


def test_sides_add_up() -> None:
    done: list[str] = []
    sides = [
        Side((name,), (lambda _, name=name: done.append(name),), {(name,): 1})  # type: ignore[misc]
        for name in "ab"
    ]
    total = sides[0] + sides[1]
    total.write(None)  # type: ignore[arg-type]
    assert total.skip == ("a", "b") and done == ["a", "b"]
    assert total.config_changes == {("a",): 1, ("b",): 1}


def test_a_damaged_config_of_generation_is_told(family: Any) -> None:
    folders = [family.add("a", "the cat"), family.add("b", "dog")]
    (folders[0] / "generation_config.json").write_text("{")
    with (
        open_checkpoint(folders[0]) as donor,
        open_checkpoint(folders[1]) as owner,
        pytest.raises(DataError, match=r"generation_config\.json is not sound"),
    ):
        numbers_beside(donor, owner, {0: 1})


def test_a_config_of_generation_that_means_the_same_is_copied(family: Any) -> None:
    folders = [family.add("a", "the cat"), family.add("b", "cat the")]
    (folders[0] / "generation_config.json").write_text(json.dumps({"eos_token_id": 1}))
    with open_checkpoint(folders[0]) as donor, open_checkpoint(folders[1]) as owner:
        assert numbers_beside(donor, owner, {0: 0, 1: 1, 2: 3}) == Side()
        side = tokenizer_beside(donor, owner, appended=[added_token("x", 9)])
    assert "generation_config.json" not in side.skip and len(side.writers) == 1

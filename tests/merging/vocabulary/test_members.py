from __future__ import annotations

import shutil
from typing import Any

import pytest

from alnico.checkpoint.opened import open_checkpoint
from alnico.errors import DataError
from alnico.merging.vocabulary import members as members_module
from alnico.merging.vocabulary.members import read_members


def test_models_have_their_own_tokens_and_embeddings(family: Any) -> None:
    folders = [family.add("a", "the cat", n_rows=8), family.add("b", "dog", added=["<pad>"])]
    with open_checkpoint(folders[0]) as a, open_checkpoint(folders[1]) as b:
        members, said = read_members(["a", "b"], [a, b], 0)
    assert [member.tokenizer.ids for member in members] == [
        family.models[name].vocabulary for name in "ab"
    ]
    assert [member.n_rows for member in members] == [8, 4] and not said


def test_equal_tokenizers_are_read_once(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    real = members_module.read_tokenizer
    monkeypatch.setattr(members_module, "read_tokenizer", lambda f: (read.append(f), real(f))[1])
    first = family.add("a", "the cat")
    shutil.copytree(first, family.folder / "b")
    third = family.add("c", "the dog")
    with (
        open_checkpoint(first) as a,
        open_checkpoint(family.folder / "b") as b,
        open_checkpoint(third) as c,
    ):
        members, _ = read_members(["a", "b", "c"], [a, b, c], 0)
    assert read == [first, third]
    assert members[0].tokenizer is members[1].tokenizer


def test_a_file_by_itself_is_taken_to_have_the_owners_tokens(family: Any) -> None:
    folder = family.add("a", "the cat")
    file = family.folder / "alone.safetensors"
    shutil.copy(folder / "model.safetensors", file)
    with open_checkpoint(folder) as a, open_checkpoint(file) as b:
        members, said = read_members(["a", "b"], [a, b], 0)
        assert members[1].tokenizer is members[0].tokenizer
        assert said == ["b has no tokenizer: it is taken to be that of a"]
        with pytest.raises(DataError, match="b has no tokenizer in its folder"):
            read_members(["a", "b"], [a, b], 1)


def test_a_model_without_tokens_must_have_as_many_embeddings(family: Any) -> None:
    folders = [family.add("a", "the cat"), family.add("b", "the cat dog")]
    (folders[1] / "tokenizer.json").unlink()
    with (
        open_checkpoint(folders[0]) as a,
        open_checkpoint(folders[1]) as b,
        pytest.raises(DataError, match=r"b has no tokenizer .* with 5 embeddings not that of a"),
    ):
        read_members(["a", "b"], [a, b], 0)

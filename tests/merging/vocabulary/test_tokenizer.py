from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from alnico.errors import DataError, UnsafeFileError
from alnico.merging.vocabulary.tokenizer import added_token, read_tokenizer

TEXT = "the cat sat on the mat, and the dog sat by the door " * 3


def bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    order = trainers.BpeTrainer(
        vocab_size=280, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], order)
    return tokenizer


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    order = trainers.WordPieceTrainer(vocab_size=40, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator([TEXT], order)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    order = trainers.UnigramTrainer(
        vocab_size=40, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], order)
    return tokenizer


@pytest.mark.parametrize("make", [bpe, wordpiece, unigram])
def test_tokens_are_those_that_the_library_reads(
    make: Callable[[], Tokenizer], tmp_path: Path
) -> None:
    tokenizer = make()
    tokenizer.add_special_tokens(["<pad>", "the"])
    tokenizer.add_tokens([AddedToken("new word", lstrip=True)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = read_tokenizer(tmp_path)
    assert found is not None
    assert found.ids == tokenizer.get_vocab(with_added_tokens=True)
    assert found.n_inner == tokenizer.get_vocab_size(with_added_tokens=False)
    assert found.added.keys() == {
        token.content for token in tokenizer.get_added_tokens_decoder().values()
    }
    assert [token for token in found.tokens if token] == sorted(found.ids, key=found.ids.get)


@pytest.mark.parametrize("make", [bpe, wordpiece, unigram])
def test_free_numbers_are_those_that_the_library_gives(
    make: Callable[[], Tokenizer], tmp_path: Path
) -> None:
    tokenizer = make()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = read_tokenizer(tmp_path)
    assert found is not None
    tokenizer.add_tokens(["one", "two"])
    given = [tokenizer.token_to_id(token) for token in ("one", "two")]
    assert list(islice(found.free_ids(), 2)) == given


def write(folder: Path, **config: Any) -> Path:
    tokenizer = wordpiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    says = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(says))
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return folder


@pytest.mark.parametrize(
    "config",
    [
        {"pad_token": "<pad>"},
        {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"},
        {"pad_token": {"content": "<pad>", "__type": "AddedToken", "lstrip": True}},
        {"additional_special_tokens": ["<one>", "<two>"], "bos_token": "<s>"},
        {"extra_special_tokens": {"image_token": "<image>"}},
        {"added_tokens_decoder": {"40": {"content": "<new>", "special": True}}},
    ],
    ids=str,
)
def test_tokens_that_the_config_names_are_added_as_transformers_adds_them(
    config: dict[str, Any], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    found = read_tokenizer(write(tmp_path, **config))
    assert found is not None
    assert found.ids == AutoTokenizer.from_pretrained(tmp_path).get_vocab()


def test_older_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\r\n[UNK]\nthe\ncat\n\n", newline="")
    (tmp_path / "added_tokens.json").write_text('{"<new>": 5}')
    found = read_tokenizer(tmp_path)
    assert found is not None
    assert found.tokens == ["[PAD]", "[UNK]", "the", "cat", "", "<new>"]
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1}')
    (tmp_path / "added_tokens.json").unlink()
    found = read_tokenizer(tmp_path)
    assert found is not None and found.ids == {"a": 0, "b": 1} and not found.added


def test_a_folder_may_have_no_tokenizer(tmp_path: Path) -> None:
    assert read_tokenizer(tmp_path) is None


def test_a_tokenizer_of_another_kind_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\n\x0e")
    with pytest.raises(DataError, match=r"tokenizer\.model is a tokenizer that is not") as caught:
        read_tokenizer(tmp_path)
    assert caught.value.help is not None and "save_pretrained" in caught.value.help


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "not a mapping"),
        ('{"model": {}}', "has no tokens"),
        ('{"model": {"vocab": {"a": -1}}}', "the number of a token is '-1'"),
        ('{"model": {"vocab": {"a": true}}}', "the number of a token is 'True'"),
        ('{"model": {"vocab": {"a": 99999999999}}}', "the number of a token is '99999999999'"),
        ('{"model": {"vocab": {"a": 0, "a": 1}}}', "occurs twice"),
        ('{"model": {"vocab": [[1, 0.0]]}}', "a token is no text"),
        ('{"model": {"vocab": {}}, "added_tokens": {}}', "added tokens are no list"),
        ('{"model": {"vocab": {}}, "added_tokens": [3]}', "an added token has no text"),
        ('{"model": {"vocab": {}}, "added_tokens": [{"content": "a"}]}', "'None'"),
    ],
)
def test_a_damaged_tokenizer_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(DataError, match=fault) as caught:
        read_tokenizer(tmp_path)
    assert str(tmp_path) in caught.value.message


def test_a_link_that_leaves_the_folder_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    write(tmp_path)
    (inside / "tokenizer.json").symlink_to(tmp_path / "tokenizer.json")
    with pytest.raises(UnsafeFileError, match="leaves the folder"):
        read_tokenizer(inside)


def test_an_added_token_is_written_as_the_library_writes_it() -> None:
    tokenizer = wordpiece()
    tokenizer.add_tokens(["plain"])
    tokenizer.add_special_tokens(["special"])
    written = json.loads(tokenizer.to_str())["added_tokens"][-2:]
    numbers = [each["id"] for each in written]
    assert written == [
        added_token("plain", numbers[0]),
        added_token("special", numbers[1], {"special": True}),
    ]

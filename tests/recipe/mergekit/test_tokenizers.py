from __future__ import annotations

from collections.abc import Callable

import pytest

from alnico.errors import RecipeError
from alnico.recipe.mergekit.reading import Reading
from alnico.recipe.mergekit.schema import Reference, TokenizerBlock, TokenRule
from alnico.recipe.mergekit.tokenizers import read_tokenizer

Read = Callable[..., Reading]

BLOCK = """\
tokenizer:
  source: base
  pad_to_multiple_of: 64
  tokens:
    <|im_start|>: {source: chatml}
    <|special|>: {source: path/to@main, force: true}
    <|renamed|>: {source: {kind: model_token, model: other, token: <|original|>}}
    <|numbered|>: {source: {kind: model_token, model: other, token_id: 1234}}
    <|unused|>: {source: {kind: zero}}
    12: {source: {kind: zero}}
chat_template: chatml
"""


def test_a_block_is_read_with_every_kind_of_token(reading: Read) -> None:
    found = reading(BLOCK)
    assert read_tokenizer(found) == TokenizerBlock(
        "base",
        {
            "<|im_start|>": TokenRule("model", Reference("chatml")),
            "<|special|>": TokenRule("model", Reference("path/to", "main"), force=True),
            "<|renamed|>": TokenRule("model_token", Reference("other"), token="<|original|>"),
            "<|numbered|>": TokenRule("model_token", Reference("other"), token_id=1234),
            "<|unused|>": TokenRule("zero"),
            "12": TokenRule("zero"),
        },
        64,
        "chatml",
    )
    assert len(found.faults) == 0 and not found.said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("merge_method: ties", None),
        ("tokenizer_source: union", TokenizerBlock("union")),
        ("tokenizer_source: a/b", TokenizerBlock(Reference("a/b"))),
        ("tokenizer: {}", TokenizerBlock("union")),
        ("chat_template: auto", TokenizerBlock(chat_template="auto")),
    ],
)
def test_the_short_forms_are_read(reading: Read, text: str, expected: TokenizerBlock) -> None:
    assert read_tokenizer(reading(text)) == expected


def test_the_form_of_an_old_version_is_read_and_said(reading: Read) -> None:
    found = reading("tokenizer_source: model:a/b")
    assert read_tokenizer(found) == TokenizerBlock(Reference("a/b"))
    assert found.said == (
        "recipe.yml:1: tokenizer_source: model:a/b is written as in mergekit 0.0.4: write a/b",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tokenizer: {}\ntokenizer_source: base", "tokenizer and tokenizer_source say the same"),
        ("tokenizer: base", "tokenizer must be a mapping, got 'base'"),
        ("tokenizer: {tokens: [a]}", r"tokens must be a mapping from tokens to rules"),
        ("tokenizer: {pad_to_multiple_of: 0}", "must be a whole number above 0, got 0"),
        ("tokenizer: {tokens: {a: {force: true}}}", "a has no source"),
        ("tokenizer: {tokens: {a: {source: b, force: 2}}}", "force must be true or false, got 2"),
        ("tokenizer: {tokens: {a: {source: {kind: one}}}}", "no kind of source 'one'"),
        (
            "tokenizer: {tokens: {a: {source: {kind: model_token, model: b}}}}",
            "model_token needs either token or token_id",
        ),
        (
            "tokenizer: {tokens: {a: {source: {kind: model_token, model: b, token_id: -1}}}}",
            "token_id must be a whole number from 0, got -1",
        ),
        ("chat_template: [a]", r"chat_template must be a text, got \['a'\]"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(reading: Read, text: str, fault: str) -> None:
    found = reading(text)
    read_tokenizer(found)
    with pytest.raises(RecipeError, match=fault):
        found.faults.check()

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.errors import RecipeError
from alnico.merging.vocabulary import TokenSource, Vocabulary
from alnico.recipe.native import read_recipe

Write = Callable[[str], Path]


def faults_of(path: Path) -> str:
    with pytest.raises(RecipeError) as error:
        read_recipe(path)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("union", Vocabulary("union")),
        ("base", Vocabulary("base")),
        ("dogs", Vocabulary("model", "dogs")),
        ("{source: dogs}", Vocabulary("model", "dogs")),
        ("{chat_template: auto}", Vocabulary(None, chat_template="auto")),
        (
            "{source: union, pad_to_multiple_of: 64, chat_template: chatml}",
            Vocabulary("union", pad_to_multiple_of=64, chat_template="chatml"),
        ),
    ],
)
def test_a_tokenizer_is_a_source_or_a_mapping_with_it(
    text: str, asked: Vocabulary, pets: str, write: Write
) -> None:
    assert read_recipe(write(f"{pets}tokenizer: {text}\n")).tokenizer == asked


def test_without_the_key_the_first_model_s_tokenizer_is_kept(pets: str, write: Write) -> None:
    assert read_recipe(write(pets)).tokenizer is None


def test_a_token_has_a_model_or_zeros_and_may_be_another_token_there(
    pets: str, write: Write
) -> None:
    found = read_recipe(
        write(f"""{pets}
tokenizer:
  source: union
  tokens:
    "<pad>": dogs
    no: zero
    <a>: {{model: cats, token: "2024"}}
    <b>: {{model: base, token_id: 0, force: true}}
    <c>: {{model: zero, force: no}}
""")
    ).tokenizer
    assert found is not None and found.tokens == {
        "<pad>": TokenSource("dogs"),
        "no": TokenSource(),
        "<a>": TokenSource("cats", "2024"),
        "<b>": TokenSource("base", token_id=0, force=True),
        "<c>": TokenSource(),
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "unoin",
            "'unoin' is not a model of this recipe\n  --> {path}:15\n  help: did you mean 'un",
        ),
        ("dosg", "help: did you mean 'dogs'?"),
        ("[union]", "tokenizer must be a text, got ['union']"),
        ("{sorce: union}", "tokenizer has no key 'sorce'     did you mean 'source'?"),
        ("{}", "tokenizer has no source\n  --> {path}:15\n  help: write source: union"),
        ("{pad_to_multiple_of: 8}", "tokenizer has no source"),
        (
            "{source: union, pad_to_multiple_of: 0}",
            "pad_to_multiple_of must be a whole number from 1",
        ),
        (
            "{source: base, pad_to_multiple_of: true}",
            "pad_to_multiple_of must be a whole number from 1 on, got True",
        ),
        ("{source: union, tokens: [<s>]}", "tokens must be a mapping from tokens to models, got"),
        ("{source: union, tokens: {<s>: cast}}", "the token '<s>': 'cast' is not a model"),
        ("{source: union, tokens: {<s>: {token: a}}}", "the token '<s>' has no model"),
        (
            "{source: union, tokens: {<s>: {model: cats, tokn: a}}}",
            "the token '<s>' has no key 'tokn'\n  --> {path}:15\n  help: did you mean 'token'?",
        ),
        (
            "{source: union, tokens: {<s>: {model: cats, token: a, token_id: 3}}}",
            "the token '<s>' has both token and token_id",
        ),
        (
            "{source: union, tokens: {<s>: {model: cats, token_id: -1}}}",
            "token_id must be a whole number from 0 on, got -1",
        ),
        (
            "{source: union, tokens: {<s>: {model: zero, token: a}}}",
            "the token '<s>': zero has no tokens",
        ),
        (
            "{source: union, tokens: {<s>: {model: cats, force: 1}}}",
            "force must be true or false, got 1",
        ),
    ],
)
def test_what_is_not_as_it_must_be_is_told_with_its_line(
    text: str, fault: str, pets: str, write: Write
) -> None:
    path = write(f"{pets}tokenizer: {text}\n")
    assert fault.format(path=path) in faults_of(path)


def test_faults_of_the_tokenizer_stand_beside_those_of_the_steps(write: Write) -> None:
    path = write("""\
alnico: 1
models: {cats: ./cats.safetensors, union: ./dogs.safetensors}
steps: [{merge: {method: linear, wieght: 1}}]
tokenizer:
  source: base
  tokens:
    <s>: {model: base, force: 2}
""")
    found = [line.partition("     ")[0] for line in faults_of(path).splitlines()]
    assert found[1:-1] == [
        "  line 2  no model can be called 'union'",
        "  line 3  linear has no parameter 'wieght'",
        "  line 5  source: this recipe has no base",
        "  line 7  the token '<s>': this recipe has no base",
        "  line 7  force must be true or false, got 2",
    ]

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from tokenizers import Tokenizer, models

from alnico.errors import DataError
from alnico.merging.vocabulary.join import Member, join
from alnico.merging.vocabulary.tokenizer import Tokenizer as Tokens
from alnico.merging.vocabulary.tokenizer import added_token


def member(
    label: str, tokens: str, added: str = "", *, n_rows: int = 99, **flags: object
) -> Member:
    inner = {token: i for i, token in enumerate(tokens.split())}
    more = {token: len(inner) + i for i, token in enumerate(added.split())}
    entries = {token: added_token(token, i, flags) for token, i in more.items()}
    tokenizer = Tokens(Path(label), {**inner, **more}, entries, len(inner))
    return Member(label, cast("Any", None), tokenizer, n_rows)


def test_tokens_are_appended_by_model_and_number_and_special_ones_come_last() -> None:
    a, b, c = member("a", "x y"), member("b", "z x w", "<b>"), member("c", "v w", "<c> <b>")
    assert join(a, [b, c], {}).tokens == ("x", "y", "z", "w", "v", "<b>", "<c>")
    assert join(a, [c, b], {}).tokens == ("x", "y", "v", "w", "z", "<c>", "<b>")


def test_numbers_are_those_that_the_library_gives() -> None:
    a, b = member("a", "x y", "<a>"), member("b", "z w", "<b>", special=True)
    tokenizer = Tokenizer(models.WordLevel({"x": 0, "y": 1}, unk_token="x"))
    tokenizer.add_special_tokens(["<a>"])
    tokenizer.add_tokens(["z", "w"])
    tokenizer.add_special_tokens(["<b>"])
    joined = join(a, [b], {})
    assert {token: i for i, token in enumerate(joined.tokens)} == tokenizer.get_vocab()


def test_flags_are_those_of_the_first_model_that_has_the_token_added() -> None:
    models = [
        member("b", "<t>"),
        member("c", "", "<t>", special=True, lstrip=True),
        member("d", "", "<t>", special=True, rstrip=True),
    ]
    (appended,) = join(member("a", "x"), models, {}).appended
    assert appended == added_token("<t>", 1, {"special": True, "lstrip": True})


def test_a_token_without_an_embedding_is_not_taken_from_another_model() -> None:
    joined = join(member("a", "x"), [member("b", "y z", "<pad>", n_rows=2)], {})
    assert joined.tokens == ("x", "y", "z")


def test_the_owners_own_tokens_stay_in_any_case() -> None:
    joined = join(member("a", "x", "<pad>", n_rows=1), [], {})
    assert joined.tokens == ("x", "<pad>") and not joined.appended


def test_named_tokens_are_added_with_the_flags_of_their_source() -> None:
    source = member("b", "", "<t>", special=True)
    joined = join(member("a", "x"), [], {"<t>": source, "<n>": None, "x": source})
    assert joined.appended == (
        added_token("<t>", 1, {"special": True}),
        added_token("<n>", 2),
    )


def test_numbers_without_tokens_are_left_as_they_are() -> None:
    tokenizer = Tokens(Path("a"), {"x": 0, "<e>": 4}, {"<e>": added_token("<e>", 4)}, 1)
    owner = Member("a", cast("Any", None), tokenizer, 99)
    assert join(owner, [member("b", "y")], {}).tokens == ("x", None, None, None, "<e>", "y")


def test_numbers_that_are_taken_are_not_given_twice() -> None:
    tokenizer = Tokens(Path("a.json"), {"x": 0, "y": 5}, {}, 2)
    owner = Member("a", cast("Any", None), tokenizer, 99)
    with pytest.raises(DataError, match=r"a\.json has tokens with greater numbers") as caught:
        join(owner, [member("b", "z")], {})
    assert caught.value.help == "take the tokenizer of another model"

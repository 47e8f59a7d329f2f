from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from alnico.errors import UnknownNameError
from alnico.merging.vocabulary.asked import TokenSource
from alnico.merging.vocabulary.choose import NONE, Ruled, choose, find_rows, find_ruled
from alnico.merging.vocabulary.join import Member
from alnico.merging.vocabulary.rows import CENTRE, MEAN, ZERO
from alnico.merging.vocabulary.tokenizer import Tokenizer


def tokenizer(tokens: str) -> Tokenizer:
    return Tokenizer(Path("t"), {token: i for i, token in enumerate(tokens.split())}, {}, 0)


def member(label: str, tokens: str, n_rows: int) -> Member:
    return Member(label, cast("Any", None), tokenizer(tokens), n_rows)


def test_a_token_has_the_row_of_its_number_in_the_model() -> None:
    found = find_rows(tokenizer("x y z"), ["z", "w", "x"], 3, 3)
    assert found.tolist() == [2, NONE, 0]


def test_a_row_of_no_token_is_the_row_of_no_token_of_that_number() -> None:
    tokens = ["x", "y", None]
    assert find_rows(tokenizer("y x"), tokens, 6, 5).tolist() == [1, 0, 2, 3, 4, NONE]
    assert find_rows(tokenizer("x y z w"), tokens, 6, 6).tolist() == [0, 1, NONE, NONE, 4, 5]


def test_a_token_beyond_the_rows_of_a_model_has_none() -> None:
    assert find_rows(tokenizer("x y z"), ["x", "y", "z"], 3, 2).tolist() == [0, 1, NONE]


def test_fewer_rows_than_tokens_can_be_asked_for() -> None:
    assert find_rows(tokenizer("x y z"), ["z", "y", "x"], 2, 3).tolist() == [2, 1]


def chosen(rows: np.ndarray, ruled: list[Ruled], base: int | None, model: int, token: int) -> Any:
    """Where one row comes from, by the rules in words; (model, row), "mean" or "zero"."""
    rule = next((rule for rule in ruled if rule.number == token), None)
    own = rows[model, token]
    if own >= 0 and not (rule and rule.force):
        return model, own
    if rule:
        return "zero" if rule.member is None else (rule.member, rule.row)
    having = [m for m in range(len(rows)) if rows[m, token] >= 0]
    if base in having:
        return base, rows[base, token]
    if len(having) > 1:
        return "mean", having
    return (having[0], rows[having[0], token]) if having else "zero"


@pytest.mark.parametrize("base", [None, 0, 2])
@pytest.mark.parametrize("seed", range(5))
def test_rows_are_chosen_by_the_rules(base: int | None, seed: int) -> None:
    draw = np.random.default_rng(seed)
    k, n = 4, 40
    rows = np.where(draw.random((k, n)) < 0.4, draw.integers(0, 99, (k, n)), NONE)
    ruled = [
        Ruled(number, [None, 1, 5][number % 3], number + 7, force=bool(number % 2))
        for number in range(6)
    ]
    found = choose(rows, ruled, base=base, centred=n)
    names = {ZERO: "zero"}
    for model in range(k):
        for token in range(n):
            slot, number = int(found.where[model, token]), int(found.number[model, token])
            if slot == MEAN:
                column = found.means[:, number]
                assert np.array_equal(column, rows[:, token])
                got: Any = ("mean", [m for m in range(k) if column[m] >= 0])
            else:
                got = names.get(slot, (slot, number))
            assert got == chosen(rows, ruled, base, model, token)
    ruled_numbers = {rule.number for rule in ruled}
    lost = [t for t in range(n) if (rows[:, t] < 0).all() and t not in ruled_numbers]
    assert found.nowhere.tolist() == lost


def test_padding_is_the_mean_of_the_rows_before() -> None:
    rows = np.array([[0, 1, 2, NONE], [0, NONE, 1, 3]])
    found = choose(rows, [], base=None, centred=2)
    assert (found.where[:, 2:] == CENTRE).all() and found.where[:, :2].tolist() == [[0, 0], [1, 0]]
    assert found.nowhere.size == 0


def test_the_source_of_a_token_is_found() -> None:
    members = [member("a", "x y", 2), member("b", "z x", 2)]
    rules = {
        "x": TokenSource("b", force=True),
        "p": TokenSource("a", token="y"),
        "q": TokenSource("a", token_id=0),
        "r": TokenSource(),
    }
    numbers = {"x": 0, "p": 5, "q": 6, "r": 7}
    assert find_ruled(rules, numbers, members) == [
        Ruled(0, 1, 1, force=True),
        Ruled(5, 0, 1, force=False),
        Ruled(6, 0, 0, force=False),
        Ruled(7, None, 0, force=False),
    ]


@pytest.mark.parametrize(
    ("rule", "fault", "help"),
    [
        (TokenSource("a", token="cats"), "a has no token 'cats'.* of 't'", "mean 'cat'"),
        (TokenSource("a"), "a has no token 't'", "its tokens are cat, dog"),
        (TokenSource("a", token="dog"), "no embedding of the token 'dog': it has 1", "zero"),
        (TokenSource("a", token_id=7), "no embedding of token 7: it has 1", "another token"),
    ],
)
def test_a_source_that_is_none_is_told(rule: TokenSource, fault: str, help: str) -> None:
    with pytest.raises(UnknownNameError, match=fault) as caught:
        find_ruled({"t": rule}, {"t": 0}, [member("a", "cat dog", 1)])
    assert help in str(caught.value.help)

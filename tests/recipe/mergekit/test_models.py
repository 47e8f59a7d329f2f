from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alnico.merging.steps import Form
from alnico.recipe.mergekit.models import describe


def test_a_model_is_what_its_header_says(llama: Callable[..., Any]) -> None:
    model = describe("cats", llama(2, width=4, tokens=9, dtype="BF16"))
    assert model.label == "cats" and not model.is_file
    assert model.forms["model.norm.weight"] == Form("BF16", (4,))
    assert model.shapes["lm_head.weight"] == (9, 4)
    assert model.vocabulary == {"model.embed_tokens.weight": 0, "lm_head.weight": 0}


def test_a_tied_head_is_held_by_the_embedding(llama: Callable[..., Any]) -> None:
    model = describe("cats", llama(head=False))
    assert model.holds("lm_head.weight") == "model.embed_tokens.weight"
    assert model.holds("model.norm.weight") == "model.norm.weight"
    assert model.holds("model.norm.bias") is None
    untied = describe("dogs", llama(head=True))
    assert not untied.stand_ins


def test_a_file_by_itself_is_known_as_one(header: Callable[..., Any]) -> None:
    model = describe("cats.pt", header({"w": Form("F32", ())}, None, None))
    assert model.is_file and model.config is None and not model.stand_ins

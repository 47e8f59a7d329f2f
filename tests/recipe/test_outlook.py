from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alnico.merging.execute import How
from alnico.merging.steps import Dropped, Form, Input, Plan, Step
from alnico.merging.vocabulary import TokenSource, Vocabulary
from alnico.methods import methods
from alnico.recipe.jobs import Job
from alnico.recipe.outlook import look
from alnico.recipe.vocabulary import Wanted

SHAPES = {
    "embed_tokens.weight": (32, 8),
    "layers.0.mlp.weight": (8, 8),
    "layers.1.mlp.weight": (8, 8),
    "norm.weight": (8,),
}


@dataclass(frozen=True)
class Header:
    """A model of which nothing can be read."""

    tensors: Mapping[str, Form]
    config: Mapping[str, object] | None = None
    folder: Path | None = None


def model(folder: Path | None = None) -> Header:
    tensors = {name: Form("F16", shape) for name, shape in SHAPES.items()}
    counters = {"n.num_batches_tracked": Form("I64", ()), "ids": Form("I64", (4,))}
    return Header(tensors | counters, {"vocab_size": 32}, folder)


def plan() -> Plan:
    both = {name: (Input(0, name), Input(1, name)) for name in model().tensors}
    linear, slerp = methods["linear"], methods["slerp"]
    form = Form("F16", (8, 8))
    steps = (
        Step("layers.0.mlp.weight", form, "merge", both["layers.0.mlp.weight"], None, linear),
        Step("layers.1.mlp.weight", form, "merge", both["layers.1.mlp.weight"], None, slerp),
        Step("norm.weight", Form("F16", (8,)), "copy", (Input(1, "norm.weight"),)),
        Step("ids", Form("I64", (4,)), "equal", both["ids"]),
        Step("n", Form("I64", ()), "largest", both["n.num_batches_tracked"]),
    )
    dropped = tuple(Dropped(each, "no slice asks for it") for each in both["embed_tokens.weight"])
    return Plan(("a", "b"), steps, dropped, said=("mind this",))


def see(asked: Vocabulary | None = None, folder: Path | None = None):
    wanted = None if asked is None else Wanted(asked, {}, None, ())
    job = Job(plan(), ("a", "b"), "", 0, {("text", "layers"): 2}, wanted=wanted)
    return look(job, [model(folder), model()], How(threads=1), name="both")


def test_tensors_are_counted_by_what_becomes_of_them() -> None:
    found = [(f.what, f.how, f.tensors, f.entries, f.read, f.written) for f in see().fates]
    assert found == [
        ("merge", "linear", 1, 64, 256, 128),
        ("merge", "slerp", 1, 64, 256, 128),
        ("copy", "from b", 1, 8, 16, 16),
        ("equal", "integers, alike in all models", 1, 4, 64, 32),
        ("largest", "counters, the largest of all models", 1, 1, 16, 8),
        ("drop", "no slice asks for it", 2, 512, 0, 0),
    ]


def test_layers_modules_and_vocabulary_are_found_by_names() -> None:
    outlook = see()
    assert outlook.layers == {"layers.": 2}
    assert outlook.vocabulary == {"embed_tokens.weight": 0}
    assert sum(outlook.modules.values()) == len(model().tensors)
    assert outlook.config == {"text.layers": 2}
    assert (outlook.name, outlook.models, outlook.said) == ("both", ("a", "b"), ("mind this",))


@dataclass(frozen=True)
class Case:
    asked: Vocabulary | None
    said: str
    has_file: bool = field(default=True)


@pytest.mark.parametrize(
    "case",
    [
        Case(None, "that of a"),
        Case(None, "none", has_file=False),
        Case(Vocabulary(None, chat_template="chatml"), "that of a with another chat template"),
        Case(Vocabulary("union"), "the union of all models'"),
        Case(Vocabulary("base", pad_to_multiple_of=64), "that of a, padded to a multiple of 64"),
        Case(
            Vocabulary("model", "b", {"<s>": TokenSource()}),
            "that of b, 1 tokens by rules of their own",
        ),
    ],
)
def test_where_the_tokenizer_comes_from_is_said(case: Case, tmp_path: Path) -> None:
    if case.has_file:
        (tmp_path / "tokenizer.json").write_text(json.dumps({}))
    assert see(case.asked, tmp_path).tokenizer == case.said

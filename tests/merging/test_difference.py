from __future__ import annotations

import json

import pytest
import torch

from alnico.merging.diff import diff
from alnico.merging.difference import Difference, Row
from alnico.merging.sums import Change, Sums

T5 = [
    "shared.weight",
    *[f"encoder.block.{i}.layer.0.q.weight" for i in range(2)],
    "encoder.final_layer_norm.weight",
    *[f"decoder.block.{i}.layer.0.q.weight" for i in range(12)],
    "decoder.final_layer_norm.weight",
    "lm_head.weight",
]


def rows(*names: str) -> tuple[Row, ...]:
    """Tensors of 6 values, of which the first has 1 that changed, the second 2, ..."""
    changes = [Change(6, i + 1, 6, 4.0, 16.0) for i in range(len(names))]
    sums = [Sums(change) for change in changes]
    return tuple(Row(n, {n: (2, 3)}, s) for n, s in zip(names, sums, strict=True))


def layers(*names: str) -> list[str]:
    return [row.name for row in Difference("a", "b", None, rows(*names)).layers]


def test_layers_stand_in_the_order_in_which_a_model_computes() -> None:
    names = [f"model.layers.{i}.mlp.weight" for i in range(12)]
    names += ["lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"]
    assert layers(*sorted(names)) == [
        "model.embed_tokens",
        *(f"model.layers.{i}" for i in range(12)),
        "lm_head",
        "model.norm",
    ]


def test_two_stacks_have_a_row_for_each_layer() -> None:
    found = layers(*sorted(T5))
    assert found[:4] == [
        "encoder.block.0",
        "encoder.block.1",
        "encoder.final_layer_norm",
        "shared",
    ]
    assert found[4:16] == [f"decoder.block.{i}" for i in range(12)]
    assert set(found[16:]) == {"decoder.final_layer_norm", "lm_head"}


def test_what_is_outside_of_layers_is_one_row_for_weight_and_bias() -> None:
    assert layers("fc.weight", "fc.bias", "scale", "head.weight") == ["fc", "scale", "head"]


def test_a_layer_is_the_sum_of_its_tensors() -> None:
    found = Difference("a", "b", None, rows("h.0.x.weight", "h.0.y.weight", "h.1.x.weight", "end"))
    first, second, end = found.layers
    assert list(first.tensors) == ["h.0.x.weight", "h.0.y.weight"]
    assert (first.number, second.number, end.number) == (0, 1, None)
    assert first.sums.change.n_changed == 3 and first.sums.change.n_entries == 12
    assert first.sums.change.distance == pytest.approx(0.5)
    assert found.whole.sums.change.n_changed == 10 and found.whole.name == "all"


@pytest.mark.parametrize(
    "unlike",
    [
        {"only_a": ("x",)},
        {"only_b": ("x",)},
        {"shapes": {"x": ((1,), (2,))}},
        {"dtypes": {"x": ("float32", "float16")}},
    ],
)
def test_models_fit_and_are_identical_only_if_nothing_is_unlike(unlike: dict) -> None:
    same = (Row("x", {"x": (6,)}, Sums(Change(6, 0, 6))),)
    assert Difference("a", "b", None, same).identical
    found = Difference("a", "b", None, same, **unlike)
    assert not found.fits and not found.identical
    assert Difference("a", "b", None, same, unbased=("x",), unranked=("x",)).identical
    changed = Difference("a", "b", None, rows("x"))
    assert changed.fits and not changed.identical


def test_its_record_is_json_with_every_measure() -> None:
    base = {"h.0.w.weight": torch.zeros(2, 3), "h.1.w.weight": torch.ones(2, 3), "n": torch.ones(1)}
    a = {name: tensor + 1 for name, tensor in base.items()}
    b = {name: tensor.clone() for name, tensor in base.items()}
    b["h.1.w.weight"][0, 0] = torch.inf
    b["late"] = torch.ones(1)
    record = json.loads(json.dumps(diff(a, b, base=base).record(), allow_nan=False))
    assert list(record) == [
        *("a", "b", "base", "identical", "all", "layers", "tensors", "only_a", "only_b"),
        *("shapes", "dtypes", "not_in_base", "rank_not_found"),
    ]
    assert [row["layer"] for row in record["tensors"]] == ["h.0", "h.1", "n"]
    assert [row["number"] for row in record["layers"]] == [0, 1, None]
    assert record["only_b"] == ["late"]
    first, second, _ = record["tensors"]
    assert first == {
        "name": "h.0.w.weight",
        "layer": "h.0",
        "tensors": 1,
        "values": 6,
        "distance": 1.0,
        "changed": 1.0,
        "largest": 1.0,
        "rank": None,
        "cosine": None,
        "signs": None,
        "a_from_base": {"distance": None, "changed": 1.0, "largest": 1.0, "rank": 1.0},
        "b_from_base": {"distance": 0.0, "changed": 0.0, "largest": 0.0, "rank": None},
        "nonfinite": {"a": 0, "b": 0, "base": 0},
    }
    assert second["nonfinite"] == {"a": 0, "b": 1, "base": 0}
    assert record["all"]["tensors"] == 3 and record["all"]["values"] == 13


def test_printed_it_is_its_table() -> None:
    said = str(Difference("cats", "dogs", None, rows("x.weight")))
    assert said.startswith("A to B") and "A is cats, B is dogs" in said

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from alnico.report.difference import difference_page

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&"
SIDES = ("a_from_base", "b_from_base")


def measures(at: int, *, has_base: bool) -> dict[str, Any]:
    """Made measures: each figure is found once in the page."""
    none = dict.fromkeys(("distance", "changed", "largest", "rank"))
    sides = [{**none, "distance": side + at / 1000, "changed": 0.5} for side in (2.0, 3.0)]
    return {
        "tensors": 1,
        "values": 1200 + at,
        "distance": 0.1 + at / 1000,
        "changed": 0.75,
        "largest": 0.01,
        "rank": None,
        "cosine": -0.25,
        "signs": 0.5,
        **dict(zip(SIDES, sides if has_base else (none, none), strict=True)),
        "nonfinite": {"a": 0, "b": 0, "base": 0},
    }


def record(*, has_base: bool = True, n_layers: int = 3) -> dict[str, Any]:
    """As `Difference.record` gives it: layers of two tensors each, and an embedding before them."""
    layers, tensors = [], []
    for at, name in enumerate(["embed", *(f"model.layers.{i}" for i in range(n_layers))]):
        number = int(name.rpartition(".")[2]) if "." in name else None
        layers.append({"name": name, "number": number, **measures(at, has_base=has_base)})
        for inner in ("attn.weight", "mlp.weight") if "." in name else ("weight",):
            found = measures(at, has_base=has_base)
            tensors.append({"name": f"{name}.{inner}", "layer": name, **found})
    return {
        "a": "models/cats",
        "b": "models/dogs",
        "base": "wolf" if has_base else None,
        "identical": False,
        "all": {"name": "all", **measures(99, has_base=has_base), "tensors": len(tensors)},
        "layers": layers,
        "tensors": tensors,
        "only_a": [],
        "only_b": [],
        "shapes": {},
        "dtypes": {},
        "not_in_base": [],
        "rank_not_found": [],
    }


@pytest.mark.parametrize("has_base", [False, True])
def test_it_has_pictures_and_tables_of_layers_and_tensors(read_page: type, has_base: bool) -> None:
    found = read_page(difference_page(record(has_base=has_base)))
    assert [s["id"] for s in found.named("section")] == ["layers", "parts", "words"]
    assert len([d for d in found.named("div") if d.get("role") == "img"]) == 2
    assert len(found.named("caption")) == 2
    heads = [th for th in found.named("th") if th.get("scope") == "row"]
    assert len(heads) == 4 + 1 + 7  # layers, all, tensors
    assert "cats and dogs: alnico diff" in found.text
    assert ("A is models/cats, B is models/dogs, base is wolf" in found.text) == has_base


def test_every_figure_of_a_layer_is_in_a_cell_and_in_the_table() -> None:
    text = difference_page(record())
    assert 'data-said="model.layers.1  0.102"' in text and "<td>0.102</td>" in text
    assert "<td>2.00</td>" in text and 'data-said="model.layers.2  3.00"' in text
    assert "<span>A from the base: distance</span><span>2.00 to 2.00</span>" in text
    assert "rank</th>" in text  # of changes from the base
    assert "A from the base" not in difference_page(record(has_base=False))


def test_parts_of_layers_have_a_strip_each_and_not_too_many() -> None:
    made = record(n_layers=2)
    text = difference_page(made)
    picture = text[text.index('id="parts"') :]
    assert "<span>attn.weight</span>" in picture and "<span>mlp.weight</span>" in picture
    assert "of model.layers.*, all on one scale.<" in picture
    extra = [{**made["tensors"][1], "name": f"model.layers.0.expert{i}"} for i in range(60)]
    many = difference_page({**made, "tensors": [*made["tensors"], *extra]})
    assert "These are 40 of 62 parts." in many
    without = record(n_layers=0)
    assert 'id="parts"' not in difference_page(without)


def test_what_is_unlike_is_listed(read_page: type) -> None:
    made = record()
    made["only_b"] = [f"late.{i}" for i in range(60)]
    made["shapes"] = {"x": [[2, 3], [2, 4]]}
    made["dtypes"] = {"y": ["float32", "bfloat16"]}
    made["not_in_base"], made["rank_not_found"] = ["z"], ["large"]
    made["tensors"][0]["nonfinite"]["b"] = 7
    text = difference_page(made)
    assert read_page(text).named("section")[0]["id"] == "unlike"
    for said in ("Only B has: 60", "10 more", "x [2, 3] and [2, 4]", "y float32 and bfloat16"):
        assert said in text
    assert "embed.weight: 7 in b" in text and "Only A has" not in text


def test_identical_models_are_said_in_a_sentence(read_page: type) -> None:
    made = {**record(), "identical": True}
    found = read_page(difference_page(made))
    assert "They are identical, bit for bit." in found.text and not found.named("section")


def test_models_with_nothing_in_common_have_a_page(read_page: type) -> None:
    made = {**record(), "tensors": [], "layers": [], "only_a": ["x"]}
    made["all"] = {**measures(0, has_base=False), "distance": None, "changed": None}
    found = read_page(difference_page(made))
    assert [s["id"] for s in found.named("section")] == ["unlike"]


def test_a_page_runs_and_loads_nothing_whatever_names_are(read_page: type) -> None:
    text = json.dumps(record()).replace("attn", json.dumps(EVIL)[1:-1])
    made = json.loads(text.replace("models/cats", json.dumps(EVIL)[1:-1]))
    made["only_a"], made["shapes"] = [EVIL], {EVIL: [[1], [2]]}
    page = difference_page(made)
    found = read_page(page)
    assert found.scripts == [] and found.named("img") == []
    assert "script-src 'none'" in page and not re.search(r"https?:|url\(|@import", page)
    for tag, attributes in found.elements:
        assert not {"src", "href", "srcset", "action", "onerror"} & set(attributes), tag
    assert (
        any(EVIL in str(cell.get("data-said")) for cell in found.named("i")) or EVIL in found.text
    )


def test_it_depends_on_nothing_but_the_record() -> None:
    made = record()
    before = copy.deepcopy(made)
    assert difference_page(made) == difference_page(json.loads(json.dumps(made)))
    assert made == before

"""The page of `alnico diff`: how far two models are apart, as pictures and as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from alnico.evaluation.drawing import three_digits
from alnico.report import words
from alnico.report.document import document
from alnico.report.heat import Strip, heat_map
from alnico.report.markup import Html, section, table, tag

Record: TypeAlias = Mapping[str, Any]

_MEASURES = {
    "distance": "L2 norm of the change over that of what is changed",
    "cosine": "of the angle between the two changes from the base, or the values without a base",
    "signs": "share of equal signs among what is zero in neither; 0.5 is chance",
    "changed": "share of values whose bits differ",
    "largest": "largest magnitude of a change",
    "rank": "mean effective rank of the matrices' changes",
}
_OF_BASE = ("distance", "changed", "rank")
_SIDES = {"A": "a_from_base", "B": "b_from_base"}
_MIDDLE = {"signs": 0.5}
_REACH = {"cosine": 1.0, "signs": 0.5, "changed": 1.0}
_MAX_PARTS = 40
_MAX_NAMES = 50


def difference_page(record: Record) -> str:
    """A difference as one HTML file that opens offline and runs no script.

    Args:
        record: As `alnico.diff(...).record()` gives it.
    """
    parts = [_headline(record), _unlike(record)]
    if record["tensors"] and not record["identical"]:
        parts += [_layers(record), _parts(record), _tensors(record), _words(record)]
    title = f"{words.last_part(record['a'])} and {words.last_part(record['b'])}: alnico diff"
    return document(title, tag("main", *parts), styles=("page.css", "heat.css"))


def _headline(record: Record) -> Html:
    whole = record["all"]
    base = "" if record["base"] is None else f", base is {record['base']}"
    if record["identical"]:
        verdict = "They are identical, bit for bit."
    else:
        verdict = f"They differ in {three_digits(whole['changed'])} of their values."
    figures = [
        (words.count(whole["tensors"]), "tensors compared"),
        (words.short_count(whole["values"]), "values"),
        *((three_digits(whole[name]), name) for name in ("distance", "cosine", "signs")),
    ]
    cards = [tag("div", tag("dt", name), tag("dd", value)) for value, name in figures]
    return tag(
        "header",
        tag("p", "alnico diff", class_="over"),
        tag(
            "h1",
            f"{words.last_part(record['a'])} ",
            tag("span", f"and {words.last_part(record['b'])}"),
        ),
        tag("p", f"A is {record['a']}, B is {record['b']}{base}", class_="muted"),
        tag("div", tag("p", verdict, class_="verdict"), class_="lead"),
        tag("dl", *cards, class_="figures"),
    )


def _unlike(record: Record) -> Html | None:
    """What is not compared, and why, and values that are no numbers."""
    shapes = [f"{name} {a} and {b}" for name, (a, b) in record["shapes"].items()]
    dtypes = [f"{name} {a} and {b}" for name, (a, b) in record["dtypes"].items()]
    bad = [
        f"{row['name']}: {words.count(n)} in {side}"
        for row in record["tensors"]
        for side, n in row["nonfinite"].items()
        if n
    ]
    lists = [
        ("Only A has", record["only_a"]),
        ("Only B has", record["only_b"]),
        ("Of two shapes, not compared", shapes),
        ("Of two dtypes, compared by value", dtypes),
        ("Not in the base, or of another shape there", record["not_in_base"]),
        ("NaN or infinite", bad),
        ("Large matrices whose rank was not found; --rank finds it", record["rank_not_found"]),
    ]
    shown = [_list(title, names) for title, names in lists if names]
    return section("unlike", "What is not in the figures", *shown) if shown else None


def _list(title: str, names: Sequence[str]) -> Html:
    items = [tag("li", name) for name in names[:_MAX_NAMES]]
    more = len(names) - _MAX_NAMES
    items += [tag("li", f"{words.count(more)} more")] if more > 0 else []
    return tag("details", tag("summary", f"{title}: {words.count(len(names))}"), tag("ul", *items))


def _layers(record: Record) -> Html:
    rows: Sequence[Record] = record["layers"]
    strips = [
        Strip(name, [row[name] for row in rows], _MIDDLE.get(name, 0.0), _REACH.get(name), name)
        for name in _shown(record)
    ]
    for measure in _OF_BASE if record["base"] is not None else ():
        for side, key in _SIDES.items():
            values = [row[key][measure] for row in rows]
            label, scale = f"{side} from the base: {measure}", f"base {measure}"
            strips.append(Strip(label, values, reach=_REACH.get(measure), scale=scale))
    names = [row["name"] for row in rows]
    return section(
        "layers",
        "By layer",
        heat_map(
            strips,
            names,
            ["" if row["number"] is None else str(row["number"]) for row in rows],
            alt="Each measure by layer; the table below has all figures",
            caption="A column is a layer, or what is outside of layers; numbers are those of "
            "layers. Colour goes from none at 0 to full at the largest, or at 1 for cosine and "
            "changed; signs have none at 0.5. What is less is orange. Point at a cell to read it.",
        ),
        _table(record, [*rows, {**record["all"], "name": "all"}], caption="Measures by layer"),
    )


def _shown(record: Record) -> list[str]:
    """The measures that say something of the two models."""
    return [name for name in _MEASURES if any(row[name] is not None for row in record["layers"])]


def _parts(record: Record) -> Html | None:
    """The distance of each part of a layer, over the layers of the longest stack."""
    stacks = Counter(_stack(row) for row in record["layers"] if row["number"] is not None)
    if not stacks:
        return None
    stack = stacks.most_common(1)[0][0]
    inside = [row for row in record["layers"] if row["number"] is not None]
    layers = {row["name"]: str(row["number"]) for row in inside if _stack(row) == stack}
    found: dict[str, dict[str, float | None]] = {}
    for row in record["tensors"]:
        layer = row["layer"]
        if layer in layers:
            found.setdefault(row["name"][len(layer) + 1 :], {})[layer] = row["distance"]
    shown = list(found.items())[:_MAX_PARTS]
    strips = [Strip(part, [by_layer.get(layer) for layer in layers]) for part, by_layer in shown]
    more = "" if len(shown) == len(found) else f" These are {len(shown)} of {len(found)} parts."
    return section(
        "parts",
        "By part of a layer",
        heat_map(
            strips,
            list(layers),
            list(layers.values()),
            alt="The distance of each part of a layer, by layer",
            caption=f"The distance from A to B of each tensor of {stack}*, all on one scale.{more}",
        ),
    )


def _stack(layer: Record) -> str:
    """What stands before a layer's number."""
    return str(layer["name"])[: -len(str(layer["number"]))]


def _tensors(record: Record) -> Html:
    rows = record["tensors"]
    summary = tag("summary", f"All {words.count(len(rows))} tensors")
    return tag("details", summary, _table(record, rows, caption="Measures by tensor"))


def _table(record: Record, rows: Sequence[Record], *, caption: str) -> Html:
    sides = list(_SIDES.items()) if record["base"] is not None else []
    shown = _shown(record)
    titles = ["values", *shown, *(f"{side} {name}" for side, _ in sides for name in _OF_BASE)]
    head = [tag("th", "", class_="words", scope="col")]
    head += [tag("th", title, scope="col") for title in titles]
    cells = []
    for row in rows:
        figures = [row[name] for name in shown]
        figures += [row[key][name] for _, key in sides for name in _OF_BASE]
        said = [words.short_count(row["values"]), *map(three_digits, figures)]
        name = tag("th", row["name"], class_="words", scope="row")
        cells.append([name, *(tag("td", each) for each in said)])
    return table(head, cells, caption=caption)


def _words(record: Record) -> Html:
    items = [tag("div", tag("dt", name), tag("dd", said)) for name, said in _MEASURES.items()]
    return section("words", "What the measures are", tag("dl", *items))

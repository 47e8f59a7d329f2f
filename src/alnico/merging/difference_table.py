"""A difference of two models as text: a row a layer, or a tensor, and what else is to be said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alnico.evaluation.drawing import WIDTH, Column, draw_table, fill, three_digits
from alnico.merging.alike import some
from alnico.merging.difference import Difference, Row
from alnico.progress import compact, spaced

_GAP = 2
_BETWEEN = ("values", "distance", "cosine", "signs", "changed", "largest", "rank")
_FROM_BASE = ("distance", "changed", "rank")


def draw_difference(found: Difference, *, by_tensor: bool = False) -> str:
    """Draw a difference within 84 columns.

    Args:
        found: The difference.
        by_tensor: Whether there is a row for each tensor, not for each layer.
    """
    if found.identical:
        return fill(_say_identical(found))
    rows = [*(_in_order(found) if by_tensor else found.layers), found.whole]
    parts = [_draw_between(found, rows, by_tensor=by_tensor)] if found.rows else []
    if found.base is not None and found.rows:
        parts.append(_draw_from_base(rows, by_tensor=by_tensor))
    parts.append("\n".join(map(fill, _notes(found))))
    return "\n\n".join(parts)


def _say_identical(found: Difference) -> str:
    n = found.whole.sums.change.n_entries
    said = f"{spaced(len(found.rows))} tensors, {compact(n)} values, bit for bit"
    return f"{found.a} and {found.b} are identical: {said}"


def _in_order(found: Difference) -> list[Row]:
    """The tensors, layer by layer."""
    rows = {row.name: row for row in found.rows}
    return [rows[name] for layer in found.layers for name in layer.tensors]


def _draw_between(found: Difference, rows: Sequence[Row], *, by_tensor: bool) -> str:
    """From A to B. Where there is a base, ranks are of changes from it."""
    titles = [title for title in _BETWEEN if title != "rank" or found.base is None]
    if by_tensor:  # their names are long
        titles = [title for title in titles if title not in ("values", "largest")]
    cells = []
    for row in rows:
        alike = row.sums.agreement
        measures = {**row.sums.change.measures(), "cosine": alike.cosine, "signs": alike.signs}
        shown = {title: three_digits(value) for title, value in measures.items()}
        shown["values"] = compact(row.sums.change.n_entries)
        cells.append([shown[title] for title in titles])
    return _draw("A to B", titles, [row.name for row in rows], cells)


def _draw_from_base(rows: Sequence[Row], *, by_tensor: bool) -> str:
    shown = [title for title in _FROM_BASE if title != "changed" or not by_tensor]
    first, *others = shown
    titles = [title for side in "AB" for title in (f"{side} {first}", *others)]
    cells = []
    for row in rows:
        both = [change.measures() for change in row.sums.from_base]
        cells.append([three_digits(measures[title]) for measures in both for title in shown])
    return _draw("from the base", titles, [row.name for row in rows], cells)


def _draw(
    what: str, titles: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]]
) -> str:
    """A table of numbers; names that are too long keep their beginning and their end."""
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    room = WIDTH - sum(widths) - _GAP * len(titles)
    columns = (Column(what), *(Column(title, "right") for title in titles))
    rows = [[_cut(name, room), *line] for name, line in zip(names, cells, strict=True)]
    return draw_table(columns, rows)


def _cut(name: str, room: int) -> str:
    if len(name) <= room:
        return name
    end = (room - len("...")) // 2
    return f"{name[: room - len('...') - end]}...{name[-end:]}"


def _notes(found: Difference) -> list[str]:
    base = "" if found.base is None else f", base is {found.base}"
    of = "the values" if found.base is None else "the changes from the base"
    lines = [f"A is {found.a}, B is {found.b}{base}."]
    lines += [f"Cosine and signs are of {of}."] if found.rows else []
    lines += _named(f"only {found.a} has", found.only_a)
    lines += _named(f"only {found.b} has", found.only_b)
    shapes = (f"{name} {list(a)} and {list(b)}" for name, (a, b) in found.shapes.items())
    lines += _named("of two shapes, not compared:", list(shapes))
    dtypes = (f"{name} {a} and {b}" for name, (a, b) in found.dtypes.items())
    lines += _named("of two dtypes, compared by value:", list(dtypes))
    lines += _named("not in the base, or of another shape there:", found.unbased)
    lines += _say_nonfinite(found)
    if found.unranked:
        n = spaced(len(found.unranked))
        lines.append(f"large matrices whose effective rank was left out: {n}; --rank finds it")
    return lines


def _named(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what} {some(names)}"] if names else []


def _say_nonfinite(found: Difference) -> Iterable[str]:
    labels = (found.a, found.b, found.base)
    for i, label in enumerate(labels):
        names = [row.name for row in found.rows if row.sums.nonfinite[i]]
        if names:
            n = spaced(found.whole.sums.nonfinite[i])
            yield f"NaN or infinite, left out: {n} of the values of {label}, in {some(names)}"

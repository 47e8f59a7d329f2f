"""What `diff` finds: how far two models are apart, tensor by tensor and layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from alnico.checkpoint.names import Layers, Shapes, find_layers
from alnico.merging.sums import Sums, total


@dataclass(frozen=True)
class Row:
    """A tensor, or several of a layer together.

    Args:
        name: Of the tensor or the layer.
        tensors: Its tensors and their shapes.
        sums: How far they are from those of the other model.
        number: Of the layer, in its stack; None for what is none.
    """

    name: str
    tensors: Shapes
    sums: Sums
    number: int | None = None

    def record(self) -> dict[str, object]:
        """Its measures, as JSON can hold them; None where one is not defined."""
        change, agreement = self.sums.change, self.sums.agreement
        return {
            "name": self.name,
            "tensors": len(self.tensors),
            "values": change.n_entries,
            **change.measures(),
            "cosine": agreement.cosine,
            "signs": agreement.signs,
            "a_from_base": self.sums.from_base[0].measures(),
            "b_from_base": self.sums.from_base[1].measures(),
            "nonfinite": dict(zip(("a", "b", "base"), self.sums.nonfinite, strict=True)),
        }


@dataclass(frozen=True)
class Difference:
    """How two models differ; printed, it is the table of `alnico diff`.

    Args:
        a: What the first is called.
        b: What the second is called.
        base: What their base is called; None without one.
        rows: The tensors of one name and shape in both, in the order of the first.
        only_a: Tensors that the second has not.
        only_b: Tensors that the first has not.
        shapes: Tensors of two shapes, which are not compared.
        dtypes: Tensors of two dtypes, which are compared by value.
        unbased: Compared tensors that the base has not, or has in another shape: nothing is known
            of their changes from it.
        unranked: Matrices whose effective rank was not asked for.
    """

    a: str
    b: str
    base: str | None
    rows: tuple[Row, ...]
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    dtypes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    unbased: tuple[str, ...] = ()
    unranked: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether both have the same names, shapes and dtypes."""
        return not (self.only_a or self.only_b or self.shapes or self.dtypes)

    @property
    def identical(self) -> bool:
        """Whether they are the same, bit for bit."""
        return self.fits and self.whole.sums.change.n_changed == 0

    @cached_property
    def whole(self) -> Row:
        """All compared tensors together."""
        return _together("all", self.rows)

    @cached_property
    def layers(self) -> tuple[Row, ...]:
        """The compared tensors by layer; those outside of layers by what they are part of."""
        return tuple(_by_layer(self.rows))

    def record(self) -> dict[str, object]:
        """All of it, as JSON can hold it."""
        layer_of = {name: layer.name for layer in self.layers for name in layer.tensors}
        return {
            "a": self.a,
            "b": self.b,
            "base": self.base,
            "identical": self.identical,
            "all": self.whole.record(),
            "layers": [{**row.record(), "number": row.number} for row in self.layers],
            "tensors": [{**row.record(), "layer": layer_of[row.name]} for row in self.rows],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "shapes": {name: [list(a), list(b)] for name, (a, b) in self.shapes.items()},
            "dtypes": {name: list(both) for name, both in self.dtypes.items()},
            "not_in_base": list(self.unbased),
            "rank_not_found": list(self.unranked),
        }

    def __str__(self) -> str:
        from alnico.merging.difference_table import draw_difference

        return draw_difference(self)


def _together(name: str, rows: Sequence[Row], number: int | None = None) -> Row:
    tensors = {name: shape for row in rows for name, shape in row.tensors.items()}
    return Row(name, tensors, total(row.sums for row in rows), number)


def _by_layer(rows: Sequence[Row]) -> list[Row]:
    """A row for each layer, such as `model.layers.3`, in the order in which a model computes.

    The layers of a stack stand together, by number. What is outside of stacks has a row for each
    module: weight and bias of a head are one.
    """
    found = find_layers({name: shape for row in rows for name, shape in row.tensors.items()})
    grouped: dict[tuple[str, int | None], list[Row]] = {}
    order: dict[str, tuple[int, int]] = {}
    for row in rows:
        place = found.places.get(row.name)
        if place is None:
            key: tuple[str, int | None] = (row.name.rpartition(".")[0] or row.name, None)
        else:
            key = (place.prefix, place.number)
        grouped.setdefault(key, []).append(row)
        order.setdefault(key[0], (_side(row.name, found), len(order)))
    keys = sorted(grouped, key=lambda key: (*order[key[0]], key[1] or 0))
    return [
        _together(unit if number is None else f"{unit}{number}", grouped[unit, number], number)
        for unit, number in keys
    ]


def _side(name: str, layers: Layers) -> int:
    """Whether a tensor is before the main layers (0), in them (1) or after them (2)."""
    if name in layers.before:
        return 0
    return 2 if name in layers.after else 1

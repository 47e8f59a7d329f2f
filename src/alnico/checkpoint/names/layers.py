"""Stacks of layers: which number in a tensor's name says its layer."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from typing import TypeAlias

from alnico.checkpoint.names.modules import find_modules
from alnico.checkpoint.names.sides import is_before

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Tensor name -> its lengths, in the order of the file."""

_DOTTED = re.compile(r"(?<![^.])(?:0|[1-9][0-9]{0,5})(?=\.)")
_MAX_DEPTH = 8  # numbers of one name that are looked at; a name may be of any length
_WORDS = frozenset({"layers", "layer", "h", "blocks", "block", "resblocks"})

_Items: TypeAlias = dict[int, dict[str, tuple[int, ...]]]
"""Number -> inner name -> shape: what stands behind one prefix."""


@dataclass(frozen=True)
class Stack:
    """Layers that follow one another.

    Args:
        prefix: What stands before the number, its dot included, e.g. `model.layers.`.
        count: How many layers there are; they are numbered from 0 without a gap.
        n_entries: How many values all its tensors have.
    """

    prefix: str
    count: int
    n_entries: int


@dataclass(frozen=True)
class Place:
    """Where in a stack a tensor is; its name is prefix, number, a dot, and the inner name.

    Args:
        prefix: Of its stack.
        number: Of its layer, from 0.
        inner: Its name within the layer.
    """

    prefix: str
    number: int
    inner: str


@dataclass(frozen=True)
class Layers:
    """How the tensors of one model are ordered.

    Args:
        shapes: The tensors.
        stacks: Prefix -> stack, in the order of the file.
        places: Name -> place, of each tensor that is in a stack.
    """

    shapes: Shapes
    stacks: Mapping[str, Stack]
    places: Mapping[str, Place]

    @cached_property
    def main(self) -> Stack | None:
        """The stack with the most values, the first of equals; None without any stack."""
        return max(self.stacks.values(), key=lambda stack: stack.n_entries, default=None)

    @cached_property
    def modules(self) -> Mapping[str, tuple[str, ...]]:
        """Module -> its tensors: `language_model`, `vision_tower`, ...; each tensor is in one.

        A module is what stands first in a name. Where several stacks stand behind it in parts of
        their own (`model.visual.blocks`, `model.language_model.layers`), the parts are modules.
        """
        return find_modules(self.shapes, list(self.stacks))

    @cached_property
    def before(self) -> frozenset[str]:
        """Tensors outside the main stack that come before it, such as embeddings."""
        if self.main is None:
            return frozenset()
        prefix, first = self.main.prefix, True
        found = []
        for name in self.shapes:
            if self._is_main(name):
                first = False
            elif is_before(name, prefix, otherwise=first):
                found.append(name)
        return frozenset(found)

    @cached_property
    def after(self) -> frozenset[str]:
        """All others outside the main stack, such as the final norm and the head."""
        if self.main is None:
            return frozenset()
        return frozenset(n for n in self.shapes if not self._is_main(n) and n not in self.before)

    def _is_main(self, name: str) -> bool:
        place = self.places.get(name)
        return place is not None and self.main is not None and place.prefix == self.main.prefix


def find_layers(shapes: Shapes) -> Layers:
    """Find the stacks of layers in the tensors of one model.

    Numbers count layers if they go from 0 without a gap and what stands behind them repeats. Of
    several numbers in a name the first does, unless it counts stages: its items have other shapes
    each, and hold stacks of their own. Experts are no layers.

    Args:
        shapes: The tensors.
    """
    containers: defaultdict[str, _Items] = defaultdict(dict)
    cuts = {name: _cuts(name) for name in shapes}
    for name, cut in cuts.items():
        for place in cut:
            items = containers[place.prefix].setdefault(place.number, {})
            items[place.inner] = shapes[name]
    found = {prefix for prefix, items in containers.items() if _is_stack(prefix, items)}
    candidates = {name: [p for p in cut if p.prefix in found] for name, cut in cuts.items()}
    holding = {p.prefix for cut in candidates.values() for p in cut[:-1]}
    stages = {prefix for prefix in holding if _differ(containers[prefix])}
    places = {
        name: kept[0]
        for name, cut in candidates.items()
        if (kept := [place for place in cut if place.prefix not in stages])
    }
    return Layers(shapes, _stacks(shapes, places), places)


def _cuts(name: str) -> list[Place]:
    """The places that a name could mean, the outermost number first."""
    found = islice(_DOTTED.finditer(name), _MAX_DEPTH)
    return [Place(name[: at.start()], int(at[0]), name[at.end() + 1 :]) for at in found]


def _is_stack(prefix: str, items: _Items) -> bool:
    words = [word for word in prefix.split(".") if word and not word.isdigit()]
    word = words[-1] if words else ""
    if "expert" in word or max(items) != len(items) - 1:
        return False
    if word in _WORDS:
        return True
    seen: set[str] = set()
    for inner in items.values():
        parts = {name for name in inner if "." in name}  # a bare weight is no layer
        if parts & seen:
            return True
        seen |= parts
    return False


def _differ(items: _Items) -> bool:
    """Whether most tensors that neighbours share have other shapes in each."""
    unlike = [
        items[here][name] != items[there][name]
        for here, there in pairwise(sorted(items))
        for name in items[here].keys() & items[there].keys()
        if max(math.prod(items[here][name]), math.prod(items[there][name])) > 1
    ]
    return 2 * sum(unlike) > len(unlike)


def _stacks(shapes: Shapes, places: Mapping[str, Place]) -> dict[str, Stack]:
    counts: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for name, place in places.items():
        counts[place.prefix] = max(counts.get(place.prefix, 0), place.number + 1)
        sizes[place.prefix] = sizes.get(place.prefix, 0) + math.prod(shapes[name])
    return {prefix: Stack(prefix, counts[prefix], sizes[prefix]) for prefix in counts}

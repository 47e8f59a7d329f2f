"""From slices to tensors: what each tensor of the output is made of, and where it lies.

Layers are numbered anew from the bottom of the output to its top. What comes before them is made as
the first slice says, what comes after as the last one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from alnico.checkpoint.names import Layers, Stack, find_layers
from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.recipe.mergekit.models import Model
from alnico.recipe.mergekit.schema import Module, Reference, Slice, Source


@dataclass(frozen=True)
class Target:
    """One tensor of the output.

    Args:
        name: What it is called there.
        origins: What each source of its slice would call it; a model may lack it.
        part: Its slice.
        module: Its module.
        t: Where it lies between the first layer of its slice, 0, and the last, 1.
    """

    name: str
    origins: tuple[str, ...]
    part: Slice
    module: Module
    t: float


Parts: TypeAlias = Mapping[Reference, Layers]
"""The tensors of one module in each model."""


def lay_out(
    module: Module,
    models: Mapping[Reference, Model],
    names: Mapping[Reference, Sequence[str]],
    *,
    exact: bool = False,
) -> list[Target]:
    """The tensors of one module of the output, in the order of a model's files.

    Args:
        module: Of the recipe.
        models: All of the recipe's.
        names: The tensors of each that are in the module.
        exact: Whether what comes after the layers is made, as in mergekit, of no more models than
            the first slice has.

    Raises:
        RecipeError: If slices are asked of a module without layers, or ask for layers past the end.
        IncompatibleModelsError: If whole models differ in their number of layers.
    """
    parts = {
        model: find_layers({name: models[model].shapes[name] for name in names[model]})
        for model in names
    }
    if module.slices[0].sources[0].layers is None:
        _check_counts(module.slices[0], parts, models)
        return list(_whole(module, parts))
    stacks = _stacks(module, parts, models)
    first, last = module.slices[0], module.slices[-1]
    n_after = min(len(first.sources), len(last.sources)) if exact else len(last.sources)
    below = {name for layers in parts.values() for name in layers.before}
    before = _beside(module, parts, first, len(first.sources))
    after = _beside(module, parts, last, n_after)
    return [
        *(target for target in before if target.name in below),
        *_layers(module, parts, stacks),
        *(target for target in after if target.name not in below),
    ]


def n_layers(module: Module) -> int | None:
    """How many layers the slices of a module have together; None without slices."""
    ranges = [part.sources[0].layers for part in module.slices]
    found = [end - start for start, end in (span for span in ranges if span is not None)]
    return sum(found) if found else None


def depth(number: int, count: int) -> float:
    """Where a layer lies in its slice, from 0 to 1; the only one of a slice is its last."""
    return number / (count - 1) if count > 1 else 1.0


def _whole(module: Module, parts: Parts) -> Iterator[Target]:
    part = module.slices[0]
    owners: dict[str, Layers] = {}
    for source in part.sources:
        for name in parts[source.model].shapes:
            owners.setdefault(name, parts[source.model])
    for name, layers in owners.items():
        place = layers.places.get(name)
        t = 0.0 if place is None else depth(place.number, layers.stacks[place.prefix].count)
        yield Target(name, (name,) * len(part.sources), part, module, t)


def _beside(module: Module, parts: Parts, part: Slice, n_sources: int) -> Iterator[Target]:
    """What is in no layer of the first few sources of a slice."""
    found: dict[str, None] = {}
    for source in part.sources[:n_sources]:
        layers = parts[source.model]
        found |= dict.fromkeys(name for name in layers.shapes if name not in layers.places)
    for name in found:
        yield Target(name, (name,) * n_sources, part, module, 0.0)


def _layers(module: Module, parts: Parts, stacks: Mapping[Reference, Stack]) -> Iterator[Target]:
    inner = {model: _by_number(parts[model], stacks[model]) for model in stacks}
    prefix, number = stacks[module.slices[0].sources[0].model].prefix, 0
    for part in module.slices:
        starts = [source.layers[0] for source in part.sources if source.layers]
        count = _length(part.sources[0])
        for i in range(count):
            names = dict.fromkeys(
                name
                for source, start in zip(part.sources, starts, strict=True)
                for name in inner[source.model][start + i]
            )
            for name in names:
                origins = tuple(
                    f"{stacks[source.model].prefix}{start + i}.{name}"
                    for source, start in zip(part.sources, starts, strict=True)
                )
                yield Target(f"{prefix}{number}.{name}", origins, part, module, depth(i, count))
            number += 1


def _by_number(layers: Layers, stack: Stack) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(stack.count)]
    for place in layers.places.values():
        if place.prefix == stack.prefix:
            found[place.number].append(place.inner)
    return found


def _length(source: Source) -> int:
    assert source.layers is not None  # it is in a slice
    return source.layers[1] - source.layers[0]


def _stacks(
    module: Module, parts: Parts, models: Mapping[Reference, Model]
) -> dict[Reference, Stack]:
    """The one stack of each model; every layer that is asked for is in it."""
    found: dict[Reference, Stack] = {}
    for part in module.slices:
        for source in part.sources:
            label, layers = models[source.model].label, parts[source.model]
            if len(layers.stacks) != 1:
                prefixes = ", ".join(prefix.rstrip(".") for prefix in layers.stacks) or "none"
                raise RecipeError(
                    f"slices need one stack of layers; {label} has {prefixes}",
                    help="name the stacks under modules, with slices of their own",
                )
            (stack,) = layers.stacks.values()
            if source.layers is not None and source.layers[1] > stack.count:
                raise RecipeError(
                    f"layer_range {list(source.layers)} is past the end of {label}: "
                    f"it has {stack.count} layers",
                    help=f"the whole of it is [0, {stack.count}]",
                )
            found[source.model] = stack
    return found


def _check_counts(part: Slice, parts: Parts, models: Mapping[Reference, Model]) -> None:
    first, *others = dict.fromkeys(source.model for source in part.sources)
    for other in others:
        here, there = parts[first].stacks, parts[other].stacks
        for prefix in here.keys() & there.keys():
            if here[prefix].count != there[prefix].count:
                raise IncompatibleModelsError(
                    f"{models[first].label} has {here[prefix].count} layers in {prefix[:-1]}, and "
                    f"{models[other].label} has {there[prefix].count}",
                    help="say with slices which layers are merged",
                )

"""A recipe as YAML, as it would be written by hand; reading it gives the same recipe again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from alnico.recipe.parts import ZERO, Gradient, MergeStep, Recipe, Setting, Source
from alnico.recipe.schema import FORMAT

if TYPE_CHECKING:
    from alnico.merging.vocabulary import TokenSource, Vocabulary

WIDTH = 84


def to_yaml(recipe: Recipe, *, portable: bool = False) -> str:
    """Write a recipe.

    Args:
        recipe: The recipe.
        portable: Whether models on disk are named as if they lay beside the recipe, and the
            output is left out: no path of this machine is told.
    """
    import yaml  # 20 ms that reading a package need not cost

    places = _beside(recipe) if portable else {}
    tree: dict[str, object] = {
        "alnico": FORMAT,
        "models": {
            name: _source(source, places.get(name)) for name, source in recipe.models.items()
        },
    }
    if recipe.base is not None:
        tree["base"] = _source(recipe.base, places.get("base"))
    if recipe.seed:
        tree["seed"] = recipe.seed
    tree["steps"] = [{"merge": _merge(recipe.merge, recipe)}]
    if recipe.tokenizer is not None:
        tree["tokenizer"] = _tokenizer(recipe.tokenizer)
    if recipe.output is not None and not portable:
        folder = recipe.path.parent
        is_inside = recipe.output.is_relative_to(folder)
        tree["output"] = str(recipe.output.relative_to(folder) if is_inside else recipe.output)
    if recipe.dtype is not None:
        tree["dtype"] = recipe.dtype
    if recipe.shard_size is not None:
        tree["shard_size"] = recipe.shard_size
    return yaml.safe_dump(
        tree, sort_keys=False, default_flow_style=None, allow_unicode=True, width=WIDTH
    )


def _beside(recipe: Recipe) -> dict[str, str]:
    """Name -> `./LAST_PART`, where two have the same one behind a folder of the model's name."""
    sources = {**recipe.models, **({"base": recipe.base} if recipe.base else {})}
    last = {name: PurePath(source.path).name for name, source in sources.items() if source.path}
    parts = [path.name for path in {source.path for source in sources.values() if source.path}]
    return {
        name: f"./{part}" if parts.count(part) == 1 else f"./{name}/{part}"
        for name, part in last.items()
    }


def _source(source: Source, place: str | None) -> object:
    path = place or source.text
    more = {"from": source.part, "revision": source.revision, "sha256": source.sha256}
    kept = {key: value for key, value in more.items() if value is not None}
    return {"path": path, **kept} if kept else path


def _merge(step: MergeStep, recipe: Recipe) -> dict[str, object]:
    tree: dict[str, object] = {"method": step.method}
    if step.models != tuple(recipe.models):
        tree["models"] = list(step.models)
    tree |= _settings(step.parameters, step.models)
    if step.where:
        tree["where"] = [
            {"match": rule.match, "keep": rule.keep}
            if rule.keep is not None
            else {"match": rule.match, **_settings(rule.parameters, step.models)}
            for rule in step.where
        ]
    return tree


def _tokenizer(asked: Vocabulary) -> object:
    more: dict[str, object] = {
        "tokens": {token: _rule(rule) for token, rule in asked.tokens.items()},
        "pad_to_multiple_of": asked.pad_to_multiple_of,
        "chat_template": asked.chat_template,
    }
    kept = {key: value for key, value in more.items() if value}
    source = asked.model or asked.kind
    if source is None:
        return kept
    return {"source": source, **kept} if kept else source


def _rule(rule: TokenSource) -> object:
    more = {"token": rule.token, "token_id": rule.token_id, "force": rule.force or None}
    kept = {key: value for key, value in more.items() if value is not None}
    return {"model": rule.model or ZERO, **kept} if kept else rule.model or ZERO


def _settings(parameters: Mapping[str, Setting], models: Sequence[str]) -> dict[str, object]:
    return {
        name: dict(zip(models, map(_value, value), strict=True))
        if isinstance(value, tuple)
        else _value(value)
        for name, value in parameters.items()
    }


def _value(value: bool | int | float | str | Gradient) -> object:
    return {"from": value.start, "to": value.stop} if isinstance(value, Gradient) else value

"""The tokenizer that a job asks for, and the plan that goes with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from alnico.checkpoint.opened import Checkpoint
from alnico.merging.steps import Plan
from alnico.merging.vocabulary import Prepared, Vocabulary, prepare
from alnico.recipe.parts import BASE, Recipe


@dataclass(frozen=True)
class Wanted:
    """What the tokenizer of a result is to be.

    Args:
        asked: The vocabulary; models are named by what they were opened by.
        axes: The tensors of the result that are indexed by tokens, and along which axis.
        base: Which model's embeddings the others take for tokens that they lack.
        others: Models that are only asked for tokens.
    """

    asked: Vocabulary
    axes: Mapping[str, int]
    base: int | None
    others: tuple[str, ...]


def wanted_by(recipe: Recipe, asked: Vocabulary, axes: Mapping[str, int]) -> Wanted:
    """The tokenizer that a recipe of alnico's own asks for.

    Args:
        recipe: The recipe.
        asked: Its tokenizer, in which models have their names in the recipe.
        axes: The tensors of the result that are indexed by tokens, and along which axis.
    """
    labels = {name: source.label for name, source in recipe.models.items()}
    if recipe.base is not None:
        labels[BASE] = recipe.base.label
    tokens = {
        token: rule if rule.model is None else replace(rule, model=labels[rule.model])
        for token, rule in asked.tokens.items()
    }
    model = None if asked.model is None else labels[asked.model]
    return Wanted(
        replace(asked, model=model, tokens=tokens),
        axes,
        None if recipe.base is None else len(recipe.sources),
        tuple(source.label for source in recipe.lenders.values()),
    )


def with_vocabulary(
    plan: Plan,
    models: Sequence[Checkpoint],
    wanted: Wanted,
    *,
    donor: int,
    known: Mapping[str, Checkpoint],
) -> Prepared:
    """Give a plan the tokenizer that is wanted; no weight is read, and nothing is written.

    Args:
        plan: The plan.
        models: Its models, opened.
        wanted: The tokenizer.
        donor: The model whose config and side files the result has.
        known: All models, by what they were opened by.

    Raises:
        AlnicoError: As `prepare` does.
    """
    return prepare(
        plan,
        models,
        wanted.asked,
        axes=wanted.axes,
        donor=donor,
        base=wanted.base,
        others={place: known[place] for place in wanted.others},
    )

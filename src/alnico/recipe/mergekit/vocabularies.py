"""What a recipe asks of the tokenizer, in the words of `merging.vocabulary`."""

from __future__ import annotations

from collections.abc import Collection

from alnico.merging.vocabulary import TokenSource, Vocabulary
from alnico.recipe.mergekit.references import locate
from alnico.recipe.mergekit.schema import MergekitRecipe, Reference, TokenizerBlock, TokenRule


def vocabulary_of(
    recipe: MergekitRecipe, *, exact: bool = False, results: Collection[str] = ()
) -> Vocabulary | None:
    """The vocabulary of the result; None if the donor's is kept.

    Args:
        recipe: What is asked.
        exact: Whether the result must have mergekit's very bits.
        results: The names of earlier recipes of the same file.
    """
    block = recipe.tokenizer
    if block is None:
        return None
    template = block.chat_template
    if block.source is None:
        return Vocabulary(None, chat_template=template)
    tokens = {token: _source(rule, recipe, results) for token, rule in block.tokens.items()}
    padded = block.pad_to_multiple_of
    if isinstance(block.source, Reference):
        place = place_of(block.source, recipe, results)
        return Vocabulary("model", place, tokens, padded, exact, template)
    return Vocabulary(block.source, None, tokens, padded, exact, template)


def asked_places(recipe: MergekitRecipe, results: Collection[str] = ()) -> list[str]:
    """The models that are asked for tokens, by what they are opened by; some are merged, too.

    Args:
        recipe: What is asked.
        results: The names of earlier recipes of the same file.
    """
    found = [] if recipe.tokenizer is None else _references(recipe.tokenizer)
    return list(dict.fromkeys(place_of(reference, recipe, results) for reference in found))


def place_of(reference: Reference, recipe: MergekitRecipe, results: Collection[str]) -> str:
    """What a model is opened by, as the plan of the recipe names it."""
    name = str(reference)
    return name if name in results else locate(reference, recipe.path.parent)


def _references(block: TokenizerBlock) -> list[Reference]:
    source = [block.source] if isinstance(block.source, Reference) else []
    rules = block.tokens.values()
    return [*source, *(rule.model for rule in rules if rule.model is not None)]


def _source(rule: TokenRule, recipe: MergekitRecipe, results: Collection[str]) -> TokenSource:
    model = None if rule.model is None else place_of(rule.model, recipe, results)
    return TokenSource(model, rule.token, rule.token_id, rule.force)

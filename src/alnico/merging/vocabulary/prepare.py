"""A plan for models of different vocabularies, and the tokenizer that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alnico.checkpoint.opened import Checkpoint
from alnico.errors import DataError, IncompatibleModelsError, UnknownNameError
from alnico.merging.alike import some
from alnico.merging.steps import Plan
from alnico.merging.vocabulary.asked import Vocabulary
from alnico.merging.vocabulary.choose import find_ruled
from alnico.merging.vocabulary.join import Joined, Member, join
from alnico.merging.vocabulary.members import read_members
from alnico.merging.vocabulary.renumber import Numbering, Renumbering, renumber
from alnico.merging.vocabulary.settings import KeyPath, new_sizes
from alnico.merging.vocabulary.side import Side, numbers_beside, tokenizer_beside
from alnico.merging.vocabulary.templates import find_template
from alnico.merging.vocabulary.tokenizer import TOKENIZER
from alnico.registry import suggest

SAVE = "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes tokenizer.json"


@dataclass(frozen=True)
class Prepared:
    """What is merged instead, and what is written beside it.

    Args:
        plan: With tensors that are indexed by tokens in the vocabulary of the result.
        models: The plan's: those it had, and behind them what stands for some of their tensors.
        config_changes: What the config says otherwise, by the keys on the way to it.
        skip: Side files of the donor that are not copied.
        write_files: Called with the new folder, to write the files that take their place.
        said: What the user should know, a line each; the plan has the same lines.
        key: A digest of where every row comes from.
    """

    plan: Plan
    models: tuple[Checkpoint, ...]
    config_changes: Mapping[KeyPath, object]
    skip: tuple[str, ...]
    write_files: Callable[[Path], None]
    said: tuple[str, ...]
    key: str


def prepare(
    plan: Plan,
    models: Sequence[Checkpoint],
    asked: Vocabulary,
    *,
    axes: Mapping[str, int],
    donor: int = 0,
    base: int | None = None,
    others: Mapping[str, Checkpoint] | None = None,
) -> Prepared:
    """Give a plan the vocabulary that is asked for; no weight is read, and nothing is written.

    Args:
        plan: Whose tensors that are indexed by tokens may differ in their number of tokens.
        models: The plan's, opened.
        asked: The vocabulary.
        axes: The tensors of the result that are indexed by tokens, and along which axis.
        donor: The model whose config and side files the result has.
        base: The model whose embeddings the others take for tokens that they lack.
        others: Models that are only asked for tokens, by the names that `asked` has for them.

    Raises:
        DataError: If a tokenizer is missing, damaged or of a kind that cannot be read.
        UnknownNameError: If there is no such model or token.
        IncompatibleModelsError: If the vocabulary is another, and no tensor is indexed by it.
        RecipeError: If the chat template is none.
    """
    folders = [model.folder for model in models if model.folder is not None]
    template = asked.chat_template and find_template(asked.chat_template, folders)
    said = ["no model has a chat template"] if asked.chat_template and not template else []
    if asked.kind is None:
        side = tokenizer_beside(models[donor], models[donor], template=template)
        return _prepared(Renumbering(plan), models, side, said)
    labels = [*plan.models, *(others or {})]
    start = donor if base is None else base
    owner = start if asked.model is None else _index(asked.model, labels)
    members, more = read_members(labels, [*models, *(others or {}).values()], owner)
    joined = _join(asked, members, owner, len(models))
    numbering = _numbering(asked, members, owner, base, joined)
    renumbered = renumber(plan, numbering, axes)
    _check(renumbered, members[: len(models)], members[owner], joined)
    side = _side(members, owner, donor, joined, template)
    config = models[donor].config or {}
    side += Side(config_changes=new_sizes(config, renumbered.sizes.get(donor, {})))
    lines = _lines(members[: len(models)], members[owner], joined, renumbered)
    return _prepared(renumbered, models, side, [*said, *more, *lines])


def _prepared(
    renumbered: Renumbering, models: Sequence[Checkpoint], side: Side, said: Sequence[str]
) -> Prepared:
    plan = renumbered.plan
    return Prepared(
        replace(plan, said=(*plan.said, *said)),
        (*models, *renumbered.models),
        side.config_changes,
        side.skip,
        side.write,
        tuple(said),
        renumbered.key,
    )


def _index(label: str, labels: Sequence[str]) -> int:
    if label not in labels:
        raise UnknownNameError(
            f"the tokenizer is to be of {label!r}, which is none of the models",
            help=suggest(label, labels),
        )
    return labels.index(label)


def _join(asked: Vocabulary, members: Sequence[Member], owner: int, n_merged: int) -> Joined:
    labels = [member.label for member in members]
    named = {
        token: None if rule.model is None else members[_index(rule.model, labels)]
        for token, rule in asked.tokens.items()
    }
    is_union = asked.kind == "union"
    others = [member for i, member in enumerate(members[:n_merged]) if is_union and i != owner]
    joined = join(members[owner], others, named)
    file = members[owner].tokenizer.file
    if joined.appended and file.name != TOKENIZER:
        raise DataError(f"tokens cannot be added to {file}", help=SAVE)
    return joined


def _numbering(
    asked: Vocabulary, members: Sequence[Member], owner: int, base: int | None, joined: Joined
) -> Numbering:
    numbers = {token: i for i, token in enumerate(joined.tokens) if token is not None}
    return Numbering(
        members,
        owner,
        base,
        joined.tokens,
        find_ruled(asked.tokens, numbers, members),
        asked.pad_to_multiple_of,
        asked.exact,
    )


def _check(
    renumbered: Renumbering, members: Sequence[Member], owner: Member, joined: Joined
) -> None:
    if renumbered.sizes:
        return
    unlike = [each.label for each in members if each.tokenizer.ids != owner.tokenizer.ids]
    if joined.appended or unlike:
        raise IncompatibleModelsError(
            f"{' and '.join([owner.label, *unlike])} are to have one vocabulary, and no tensor is "
            "known to be indexed by tokens",
            help="a model's config.json says by vocab_size which are",
        )


def _side(
    members: Sequence[Member], owner: int, donor: int, joined: Joined, template: str | None
) -> Side:
    own, giving = members[owner], members[donor]
    side = tokenizer_beside(
        giving.checkpoint,
        own.checkpoint,
        known=tuple(own.tokenizer.added.values()),
        appended=joined.appended,
        template=template,
    )
    if owner == donor:
        return side
    numbers = own.tokenizer.ids
    moved = {number: numbers.get(token) for token, number in giving.tokenizer.ids.items()}
    return side + numbers_beside(giving.checkpoint, own.checkpoint, moved)


def _lines(
    members: Sequence[Member], owner: Member, joined: Joined, renumbered: Renumbering
) -> list[str]:
    """What is said of the tokens of the result."""
    n = len(joined.appended)
    own = len(owner.tokenizer.ids)
    lines = [
        f"the vocabulary has {own} tokens of {owner.label}" + (f" and {n} others" if n else "")
    ]
    known = {*owner.tokenizer.ids, *(str(each["content"]) for each in joined.appended)}
    for member in members:
        lost = [token for token in member.tokenizer.ids if token not in known]
        if lost:
            lines.append(f"tokens of {member.label} are left out: {_shown(lost)}")
    if renumbered.nowhere:
        shown = _shown(renumbered.nowhere)
        lines.append(f"embeddings are zeros, where no model has one: {shown}")
    return lines


def _shown(tokens: Sequence[str]) -> str:
    return some([repr(token)[:40] for token in tokens])

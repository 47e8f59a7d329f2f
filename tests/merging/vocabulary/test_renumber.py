from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from alnico.checkpoint.opened import open_checkpoint
from alnico.merging.steps import Form, Input, Plan, Step
from alnico.merging.vocabulary.choose import Ruled
from alnico.merging.vocabulary.join import Member
from alnico.merging.vocabulary.renumber import Numbering, Renumbering, renumber
from alnico.merging.vocabulary.tokenizer import Tokenizer

EMBED, SMALL, NORM = "embed_tokens.weight", "embed_small.weight", "norm.weight"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Models:
    """Models `0`, `1`, ... with tokens of one letter."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.members: list[Member] = []

    def add(self, letters: str, n_rows: int | None = None, n_small: int | None = None) -> None:
        n = len(letters) if n_rows is None else n_rows
        small = n if n_small is None else n_small
        path = self.folder / f"{len(self.members)}.safetensors"
        tensors = {EMBED: torch.randn(n, 3), SMALL: torch.randn(small, 2), NORM: torch.randn(3)}
        save_file(tensors, path, {"note": path.stem})
        tokenizer = Tokenizer(path, {letter: i for i, letter in enumerate(letters)}, {}, 0)
        opened = self.stack.enter_context(open_checkpoint(path))
        self.members.append(Member(path.stem, opened, tokenizer, n))

    def renumber(
        self,
        tokens: str,
        *,
        ruled: Sequence[Ruled] = (),
        n_merged: int | None = None,
        **asked: int | bool | None,
    ) -> Renumbering:
        n = len(self.members) if n_merged is None else n_merged
        forms = {
            name: Form(e.dtype, e.shape) for name, e in self.members[0].checkpoint.tensors.items()
        }
        steps = [
            Step(name, form, "merge", tuple(Input(i, name) for i in range(1, n)), Input(0, name))
            for name, form in forms.items()
        ]
        plan = Plan(tuple(member.label for member in self.members[:n]), tuple(steps))
        numbering = Numbering(self.members, 0, 0, list(tokens), ruled, **asked)  # type: ignore[arg-type]
        return renumber(plan, numbering, {EMBED: 0, SMALL: 0})

    def tensor(self, model: int, name: str = EMBED) -> torch.Tensor:
        return load_file(self.folder / f"{model}.safetensors")[name]


@pytest.fixture
def models(tmp_path: Path, stack: ExitStack) -> Models:
    return Models(tmp_path, stack)


def test_a_plan_in_one_vocabulary_is_left_as_it_is(models: Models) -> None:
    models.add("abc")
    models.add("abc")
    found = models.renumber("abc")
    assert not found.models and found.plan.models == ("0", "1")
    assert found.sizes == {0: {3: 3}, 1: {3: 3}} and not found.nowhere


def test_only_what_is_in_another_vocabulary_is_read_through_another_model(models: Models) -> None:
    models.add("abc")
    models.add("cab")
    found = models.renumber("abc")
    assert found.plan.models == ("0", "1", "1 (its tokens renumbered)")
    steps = {step.name: step for step in found.plan.steps}
    assert steps[EMBED].inputs == (Input(2, EMBED),) and steps[EMBED].base == Input(0, EMBED)
    assert steps[NORM].inputs == (Input(1, NORM),)
    (renumbered,) = found.models
    assert torch.equal(renumbered.tensor(EMBED), models.tensor(1)[[1, 2, 0]])
    assert torch.equal(renumbered.tensor(SMALL), models.tensor(1, SMALL)[[1, 2, 0]])
    assert renumbered.metadata == {"note": "1"} and not renumbered.files


def test_tensors_grow_with_the_vocabulary(models: Models) -> None:
    models.add("ab")
    models.add("bc")
    found = models.renumber("abc")
    forms = {step.name: step.form.shape for step in found.plan.steps}
    assert forms == {EMBED: (3, 3), SMALL: (3, 2), NORM: (3,)}
    base, other = (model.tensor(EMBED) for model in found.models)
    a, b = models.tensor(0), models.tensor(1)
    assert torch.equal(base, torch.stack([a[0], a[1], b[1]]))
    assert torch.equal(other, torch.stack([a[0], b[0], b[1]]))


def test_a_tensor_of_the_first_tokens_alone_does_not_grow(models: Models) -> None:
    models.add("abcd", n_small=2)
    models.add("bacd", n_small=2)
    found = models.renumber("abcde")
    forms = {step.name: step.form.shape for step in found.plan.steps}
    assert forms == {EMBED: (5, 3), SMALL: (2, 2), NORM: (3,)}
    assert found.sizes[0] == {4: 5, 2: 2} and found.nowhere == ("e",)
    assert torch.equal(found.models[1].tensor(SMALL), models.tensor(1, SMALL)[[1, 0]])


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        ({}, 6),
        ({"exact": True}, 3),
        ({"pad_to_multiple_of": 4}, 4),
        ({"pad_to_multiple_of": 3}, 3),
        ({"pad_to_multiple_of": 8, "exact": True}, 8),
    ],
    ids=str,
)
def test_how_many_rows_there_are(asked: dict[str, int], n: int, models: Models) -> None:
    models.add("abc", n_rows=6)
    models.add("abc", n_rows=6)
    found = models.renumber("abc", **asked)
    assert found.plan.steps[0].form.shape[0] == n
    assert found.sizes[0] == {6: n}


def test_a_model_beside_the_plan_gives_single_rows(models: Models) -> None:
    models.add("ab")
    models.add("ab")
    models.add("xyz")
    found = models.renumber("ab", ruled=[Ruled(1, 2, 2, force=True)], n_merged=2)
    for model in found.models:
        assert torch.equal(model.tensor(EMBED)[1], models.tensor(2)[2])
    assert len(found.models) == 2


def test_the_key_tells_other_rows_apart(models: Models) -> None:
    models.add("abc")
    models.add("cab")
    rules = [(), (Ruled(0, 1, 2, force=True),), (Ruled(0, None, 0, force=True),)]
    keys = [models.renumber("abc", ruled=ruled).key for ruled in (*rules, *rules)]
    assert len(set(keys)) == 3 and keys[:3] == keys[3:]


def test_a_renumbered_model_reads_any_part_and_names_what_it_lacks(models: Models) -> None:
    from alnico.errors import UnknownNameError

    models.add("abc")
    models.add("cba")
    (renumbered,) = models.renumber("abc").models
    assert renumbered.tensors[EMBED].shape == (3, 3) and renumbered.n_bytes == 4 * (9 + 6)
    assert renumbered.array(EMBED).tolist() == models.tensor(1).flip(0).tolist()
    with pytest.raises(UnknownNameError, match="tokens renumbered\\) has no tensor 'x'"):
        renumbered.array("x")
    renumbered.check_unchanged()
    renumbered.close()

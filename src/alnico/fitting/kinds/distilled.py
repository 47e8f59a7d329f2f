"""The best row of all teaches one small network."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from alnico.data.batches import Rows, concatenate
from alnico.fitting.kinds._bench import Bench, kind
from alnico.fitting.members import Net, outputs_of, reading
from alnico.fitting.rows import Row
from alnico.fusing import crossfit, distillation_loss, swap_cells
from alnico.fusing.soften import SHARE
from alnico.networks import Architecture, build
from alnico.probing import Outputs
from alnico.structures import Parts
from alnico.training import Setting, train

TEMPERATURE = 2.0

MOST_ROWS = 200_000
"""Rows that the student learns from, augmented ones included."""

EPOCHS, PATIENCE = 30, 5


@kind("distilled")
def distilled(bench: Bench) -> Iterator[Row]:
    """One small network, taught by soft targets on training rows and augmented ones.

    The teacher's own parameters may have been learned from validation rows, so students are
    cross-fitted: one of a teacher that learned from one half of the folds, for the other half; one
    the other way round; and one of the whole teacher, which predicts.
    """
    teacher = bench.best()
    if teacher is None:
        return
    began = time.monotonic()
    halves = bench.folds % 2
    # if nothing in the teacher comes from validation rows, one student is enough
    n_students = 1 if teacher.relearn is None else 1 + len(halves.unique())
    school = _School(bench, teacher, _versions(bench), n_students)
    if n_students == 1:
        everything = torch.arange(len(halves))
        outputs = school.teach(everything).outputs(everything)
    else:
        outputs = crossfit(school.teach, halves).outputs
    if not all(student.has_learned for student in school.students):
        yield Row("distilled", "", skipped="no time was left")
        return
    yield Row(
        "distilled",
        f"{school.architecture.name} of {teacher.kind}",
        (school.students[0].net,),  # the first learned from all that there is
        outputs=outputs,
        seconds=teacher.seconds + time.monotonic() - began,
    )


@dataclass
class _School:
    """A teacher and its students, for cross-fitting; each may take as much time."""

    bench: Bench
    teacher: Row
    versions: list[Rows]
    n_students: int
    students: list[_Student] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.architecture = student_of(self.bench)
        nets = self.teacher.nets
        self.said = Parts.of([_said(net, self.versions, self.bench) for net in nets])

    def teach(self, rows: Tensor) -> _Student:
        """A student of the teacher that knows some validation rows alone."""
        with torch.no_grad():
            soft = _taught(self.teacher, self.said, rows)
        parts = zip(self.versions, soft.chunk(len(self.versions)), strict=True)
        both = concatenate([Rows(version.inputs, said) for version, said in parts])
        deadline = _share_of(self.bench.deadline, self.n_students - len(self.students))
        self.students.append(_study(self.architecture, both, self.bench, deadline))
        return self.students[-1]


@dataclass(frozen=True)
class _Student:
    """A taught network, for cross-fitting."""

    net: Net
    bench: Bench
    has_learned: bool

    def outputs(self, rows: Tensor) -> Tensor:
        """Row numbers [m] -> [m, c]"""
        return self.bench.read(self.net)[rows]


def _share_of(deadline: float | None, n_left: int) -> float | None:
    """When the next of some students must end, so that each gets as much time."""
    now = time.monotonic()
    return None if deadline is None else now + max(0.0, deadline - now) / n_left


def student_of(bench: Bench) -> Architecture:
    """One small network that reads all that the table holds."""
    if bench.inputs.has_text and bench.inputs.has_table:
        return Architecture("mixed", "log", depth=1, width=48, dropout=0.1)
    if bench.inputs.has_text:
        return Architecture("text_bag", depth=1, width=48, dropout=0.1)
    return Architecture("mlp", "quantile", depth=2, width=64, dropout=0.0)


def _versions(bench: Bench) -> list[Rows]:
    """The training rows, not more than allowed; and as many with cells of other rows.

    A text stays with its row; rows of text alone have no other version.
    """
    rows = bench.train
    random = torch.Generator().manual_seed(bench.seed)
    if len(rows) > MOST_ROWS // 2:
        rows = rows.take(torch.randperm(len(rows), generator=random)[: MOST_ROWS // 2])
    assert isinstance(rows.inputs, Mapping)
    cells = {key: rows.inputs[key] for key in bench.columns}
    if not cells:
        return [rows]
    swapped = swap_cells(cells, share=SHARE, columns=bench.columns, generator=random)
    assert isinstance(swapped, Mapping)
    return [rows, Rows({**rows.inputs, **swapped}, rows.target)]


def _said(net: Net, versions: Sequence[Rows], bench: Bench) -> Outputs:
    """What a network says of all versions of the rows, one after the other."""
    reads_cells = set(net.architecture.keys(bench.inputs)) & set(bench.columns)
    said = [outputs_of(net, versions[0], bench.inputs)]
    for version in versions[1:]:  # one that reads no cells says again what it said before
        said.append(outputs_of(net, version, bench.inputs) if reads_cells else said[0])
    return Outputs(torch.cat([s.logits for s in said]), torch.cat([s.features for s in said]))


def _taught(teacher: Row, said: Parts, rows: Tensor) -> Tensor:
    """What the teacher says, if it learned from some validation rows alone. -> [n, c]"""
    if teacher.structure is None:
        return said.logits[0]
    if teacher.relearn is None:
        out: Tensor = teacher.structure(said)
        return out
    return teacher.relearn(rows)(said)


def _study(
    architecture: Architecture, soft: Rows, bench: Bench, deadline: float | None
) -> _Student:
    start: nn.Module = build(architecture, bench.inputs, bench.task.n_outputs, seed=bench.seed)
    training = train(
        [start],
        reading(soft, architecture, bench.inputs),
        settings=[Setting("adamw", 3e-3, weight_decay=1e-3, seed=bench.seed)],
        loss=distillation_loss(bench.task.kind, temperature=TEMPERATURE),
        valid=reading(bench.valid, architecture, bench.inputs),
        epochs=EPOCHS,
        patience=PATIENCE,
        batch_size=512 if len(soft) < 100_000 else 1_024,
        clip=1.0,
        way="loop",
        deadline=deadline,
        averages=False,
    )
    trained = training.members[0]
    return _Student(Net(architecture, trained.module), bench, trained.best_epoch > 0)

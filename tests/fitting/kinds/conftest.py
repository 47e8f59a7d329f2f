"""Members of every scheme of training together, and what each kind makes of those apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from alnico.fitting import Bench, Row, kinds
from alnico.fitting.members import TrainedGroup, train_group
from alnico.fitting.plan import Group
from alnico.fitting.prepare import Prepared
from alnico.training import Setting

STUDENTS = ("pruned", "distilled")
TOGETHER = ("shared", "papa")


@pytest.fixture(scope="session")
def made(bench: Bench) -> dict[str, list[Row]]:
    """The rows of every kind that members apart are enough for."""
    torch.set_num_threads(1)
    return {name: list(kinds[name](bench)) for name in kinds if name not in (*STUDENTS, *TOGETHER)}


def _trained(group: Group, prepared: Prepared) -> TrainedGroup:
    inputs, task = prepared.encoder.inputs, prepared.task
    torch.set_num_threads(1)
    return train_group(group, prepared.train, prepared.valid, inputs=inputs, task=task, way="rule")


@pytest.fixture(scope="session")
def allied(bench: Bench, group: Group, prepared: Prepared) -> Bench:
    """Two members apart, three of a shared loss, three that pull at each other."""
    settings = tuple(Setting("adam", 1e-2, seed=i) for i in range(3))
    three = replace(group, settings=settings, epochs=8)
    shared = replace(three, name="mlp-1", starts=(0, 1, 2), together="shared")
    papa = replace(three, name="mlp-2", starts=(0, 0, 0), together="papa")
    trained = [m for g in (shared, papa) for m in _trained(g, prepared).members]
    return replace(bench, members=(*bench.members[:2], *trained))

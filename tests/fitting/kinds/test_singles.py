from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch.nn import functional as F

from alnico.fitting import Bench, kinds


def test_a_row_of_each_member_stands_for_the_single_networks(made, bench: Bench) -> None:
    assert [row.parts for row in made["single"]] == [m.name for m in bench.members]
    for row, member in zip(made["single"], bench.members, strict=True):
        assert row.nets == (member.net,) and row.outputs is member.outputs.logits
        assert row.seconds == member.seconds and row.structure is row.relearn is None


def test_a_single_network_is_one_that_was_trained_apart(allied: Bench) -> None:
    assert [row.parts for row in kinds["single"](allied)] == ["mlp-0.0", "mlp-0.1"]


def test_where_none_was_trained_apart_the_members_of_the_pool_stand_for_themselves(allied) -> None:
    alone = replace(allied, members=allied.members[2:])
    assert [row.parts for row in kinds["single"](alone)] == ["mlp-2.0", "mlp-2.1", "mlp-2.2"]


@pytest.mark.parametrize("name", ["swa", "ema"])
def test_of_the_averaged_weights_the_best_by_validation_is_shown(made, bench, name: str) -> None:
    target = bench.valid.target
    losses = [F.cross_entropy(bench.read(getattr(m, name)), target) for m in bench.members]
    best = bench.members[int(np.argmin(losses))]
    (row,) = made[name]
    assert row.parts == best.name and row.nets == (getattr(best, name),)


def test_members_without_averaged_weights_make_no_row_of_them(bench: Bench) -> None:
    bare = replace(bench, members=tuple(replace(m, ema=None) for m in bench.members))
    assert not list(kinds["ema"](bare))
    assert list(kinds["swa"](bare))


def test_the_linear_model_is_one_network_of_no_member(made, bench: Bench) -> None:
    (row,) = made["linear"]
    assert row.parts == "logistic regression" and row.nets[0].architecture.name == "linear"
    assert row.n_parameters < min(other.n_parameters for other in made["single"])
    share = float(bench.valid.target.float().mean())
    nothing = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert float(F.cross_entropy(row.outputs, bench.valid.target)) < nothing

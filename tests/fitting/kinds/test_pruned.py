from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

import alnico
from alnico.data.batches import Rows
from alnico.fitting import Bench, Fitted, Row, kinds, save_run
from alnico.fitting.kinds.pruned import fit_into
from alnico.probing import read_outputs
from alnico.runs import read_run
from alnico.structures import Concat, Parts


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="session")
def wide(bench: Bench) -> Row:
    """A concatenation of three members, best first."""
    members = [bench.members[i] for i in (2, 0, 3)]
    parts = Parts.of([m.outputs for m in members])
    head = Concat([16, 16, 16], 2)
    return Row(
        "concat",
        "mlp x3",
        tuple(m.net for m in members),
        head,
        head(parts).detach(),
        3.0,
        valid_score=0.5,
        names=tuple(m.name for m in members),
    )


@pytest.fixture(scope="session")
def shop_bench(bench: Bench, wide: Row) -> Bench:
    worse = replace(wide, nets=wide.nets[:1], valid_score=0.6)
    return replace(bench, rows=[Row("single", "", valid_score=0.1), worse, wide])


@pytest.fixture(scope="session")
def row(shop_bench: Bench) -> Row:
    torch.set_num_threads(1)
    (row,) = kinds["pruned"](shop_bench)
    return row


def test_it_has_at_most_the_parameters_of_the_largest_member(row, wide) -> None:
    budget = max(size(net.module) for net in wide.nets)
    assert row.n_parameters <= budget < wide.n_parameters
    assert row.n_parameters == size(row.network)
    assert row.parts.startswith("concat of mlp") and set(row.names) <= set(wide.names)
    assert row.seconds > wide.seconds


@pytest.mark.parametrize("budget", [738, 500, 300])
def test_no_more_is_cut_than_must_be(wide, shop_bench, budget: int) -> None:
    modules = [module for _, module in fit_into(wide.nets, budget, shop_bench)]
    widths = sum(module.state_dict()["head.weight"].shape[1] for module in modules)
    head = 2 * (widths + 1)
    unit = 41 + 1 + 2 + 2  # weights in, a bias, weights out to its own head and to the joint one
    assert budget - 3 * unit < sum(map(size, modules)) + head <= budget


def test_hidden_units_are_gone_and_the_members_themselves_untouched(row, wide) -> None:
    for net, name in zip(row.nets, row.names, strict=True):
        before = wide.nets[wide.names.index(name)]
        widths = [
            [m.out_features for m in one.module.modules() if isinstance(m, nn.Linear)]
            for one in (net, before)
        ]
        assert widths[0][0] < widths[1][0] == 16 and widths[0][-1] == widths[1][-1] == 2
        assert net.architecture == before.architecture


def test_its_outputs_are_those_of_the_network_but_for_the_folds(row, shop_bench) -> None:
    with torch.no_grad():
        said = row.network.eval()(shop_bench.valid.inputs)
    near = (said - row.outputs).abs().mean()
    assert 0 < near < said.std()


def test_no_label_decides_what_goes_and_what_is_recovered(row, shop_bench) -> None:
    turned = replace(
        shop_bench,
        train=Rows(shop_bench.train.inputs, 1 - shop_bench.train.target),
        valid=Rows(shop_bench.valid.inputs, 1 - shop_bench.valid.target),
    )
    (other,) = kinds["pruned"](turned)
    weights = [
        {
            name: parameters_to_vector(net.module.parameters())
            for name, net in zip(r.names, r.nets, strict=True)
        }
        for r in (row, other)
    ]
    for name in set(row.names) & set(other.names):
        assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(row.outputs, other.outputs)


def test_a_validation_row_is_never_judged_by_a_head_that_was_learned_from_it(row, shop_bench):
    held = shop_bench.folds == 3
    labels = torch.where(held, 1 - shop_bench.valid.target, shop_bench.valid.target)
    turned = replace(shop_bench, valid=Rows(shop_bench.valid.inputs, labels))
    (other,) = kinds["pruned"](turned)
    torch.testing.assert_close(row.outputs[held], other.outputs[held], rtol=1e-4, atol=1e-4)
    assert (row.outputs[~held] - other.outputs[~held]).abs().max() > 1e-2


def test_its_head_can_be_learned_again_for_a_student_that_must_not_see_all_labels(row, shop_bench):
    rows = torch.arange(0, len(shop_bench.valid), 2)
    batch = shop_bench.valid.inputs
    keys = row.nets[0].architecture.keys(shop_bench.inputs)
    read = {key: batch[key] for key in keys}
    parts = Parts.of([read_outputs(net.module, read) for net in row.nets])
    by_hand = Concat.learn(parts.rows(rows), shop_bench.valid.target[rows], shop_bench.task)
    torch.testing.assert_close(row.relearn(rows)(parts), by_hand(parts))


def test_a_member_recovers_some_of_what_it_said_before(row, wide, shop_bench) -> None:
    budget = max(size(net.module) for net in wide.nets)
    pruned = {id(before.module): after for before, after in fit_into(wide.nets, budget, shop_bench)}
    for net, name in zip(row.nets, row.names, strict=True):
        before = wide.nets[wide.names.index(name)]
        told = shop_bench.read(before).softmax(-1)
        cut = shop_bench.read(replace(before, module=pruned[id(before.module)])).softmax(-1)
        recovered = shop_bench.read(net).softmax(-1)
        assert (recovered - told).abs().mean() < (cut - told).abs().mean()


def test_members_that_are_leaned_on_least_go_first_when_units_alone_are_not_enough(
    wide, shop_bench
) -> None:
    two, three = (sum(map(size, least(wide.nets[:n], shop_bench))) for n in (2, 3))
    head = 2 * (2 + 1)  # one unit of each is left
    found = fit_into(wide.nets, two + head, shop_bench)
    assert two + head < three
    assert [before for before, _ in found] == list(wide.nets[:2])
    assert fit_into(wide.nets, 50, shop_bench) == []


def least(nets: tuple, bench: Bench) -> list[nn.Module]:
    """The networks with as few units as are ever left."""
    example = {key: value[:32] for key, value in bench.train.inputs.items()}
    keys = nets[0].architecture.keys(bench.inputs)
    batch = {key: example[key] for key in keys}
    return [alnico.prune(net.module, keep=1 / 16, example=batch) for net in nets]


def test_without_a_wide_fusion_there_is_nothing_to_cut(bench: Bench, wide: Row) -> None:
    assert not list(kinds["pruned"](bench))
    narrow = replace(wide, nets=wide.nets[:1])
    assert not list(kinds["pruned"](replace(bench, rows=[narrow])))


def test_when_time_is_up_it_is_cut_but_not_recovered_further(shop_bench: Bench) -> None:
    late = replace(shop_bench, deadline=time.monotonic())
    (row,) = kinds["pruned"](late)
    assert row.skipped is None and row.outputs.isfinite().all()


def test_it_is_made_anew_from_a_run_folder_with_the_same_predictions(
    fitted: Fitted, shop: pl.DataFrame, tmp_path: Path
) -> None:
    number, row = next((n, r) for n, r in enumerate(fitted.rows, 1) if r.kind == "pruned")
    assert row.skipped is None, "the run of the fixture has a concat to prune"
    wide = next(r for r in fitted.rows if r.kind == "concat")
    assert row.n_parameters <= max(size(net.module) for net in wide.nets) < wide.n_parameters
    save_run(tmp_path / "run", fitted)
    said = alnico.load(tmp_path / "run", row=number).predict_proba(shop)
    np.testing.assert_allclose(said[fitted.prepared.split.test], row.test_prediction, atol=1e-6)
    told = read_run(tmp_path / "run").record["rows"][number - 1]
    assert told["parameters"] == row.n_parameters == size(row.network)

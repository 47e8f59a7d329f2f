from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from alnico.errors import AlnicoError, UnknownNameError
from alnico.evaluation.metrics import metrics
from alnico.fitting import Bench, Row, kind, kinds
from alnico.fitting.kinds._bench import describe

IN_ORDER = [
    "linear",
    "single",
    "swa",
    "ema",
    "soup_uniform",
    "soup_greedy",
    "soup_learned",
    "papa",
    "average",
    "selection",
    "stacking",
    "concat",
    "attention",
    "shared",
    "pruned",
    "distilled",
]


def test_the_kinds_are_these_and_what_is_taught_from_others_comes_last() -> None:
    assert list(kinds) == IN_ORDER
    with pytest.raises(UnknownNameError, match=r"no kind 'stackin'(.|\n)*did you mean 'stacking'"):
        kinds["stackin"]


def test_every_kind_gives_rows_of_its_own_name_with_outputs_and_a_cost(made, bench) -> None:
    for name, rows in made.items():
        assert rows, name
        for row in rows:
            assert row.kind == name and row.skipped is None and row.seconds > 0
            assert row.outputs.shape == (len(bench.valid), 2) and row.outputs.isfinite().all()
            assert (len(row.nets) > 1) <= (row.structure is not None)


def test_members_of_a_shared_loss_are_in_no_pool_for_they_speak_only_together(allied) -> None:
    names = [member.name for member in allied.members]
    assert names == [f"mlp-{g}.{i}" for g, n in ((0, 2), (1, 3), (2, 3)) for i in range(n)]
    assert [m.name for m in allied.pool] == [n for n in names if not n.startswith("mlp-1")]
    assert len(allied.parts) == 5
    assert torch.equal(allied.parts.logits[0], allied.members[0].outputs.logits)
    found = {s: [[m.name for m in g] for g in allied.groups(s)] for s in ("shared", "papa")}
    assert found == {"shared": [names[2:5]], "papa": [names[5:]]}
    other = replace(allied, members=(*allied.members[2:4], allied.members[0]))
    assert [len(group) for group in other.groups("shared")] == [2]


@pytest.mark.parametrize(
    ("metric", "best", "of_kind"), [("log_loss", 0.1, 0.2), ("roc_auc", 0.9, 0.3)]
)
def test_the_best_row_is_by_the_metric_and_never_a_skipped_one(bench, metric, best, of_kind):
    rows = [
        Row("concat", "", skipped="no time was left"),
        Row("concat", "", valid_score=0.3),
        Row("single", "", valid_score=0.1),
        Row("single", "", valid_score=0.9),
        Row("concat", "", valid_score=0.2),
    ]
    here = replace(bench, rows=rows, metric=metrics[metric])
    assert here.best().valid_score == best
    assert here.best("concat").valid_score == of_kind
    assert here.best("attention") is None


def test_what_it_reads_and_loses_is_of_the_validation_part(bench: Bench) -> None:
    member = bench.members[0]
    with torch.no_grad():
        said = member.net.module.eval()(bench.valid.inputs)
    torch.testing.assert_close(bench.read(member.net), said)
    assert bench.loss(said) == pytest.approx(float(F.cross_entropy(said, bench.valid.target)))


def test_members_are_described_by_architecture_and_number(bench: Bench) -> None:
    mlp = bench.members[0].net
    other = replace(mlp, architecture=replace(mlp.architecture, name="text_gru"))
    assert describe([mlp, other, mlp]) == "mlp x2, text_gru"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test register kinds that are gone afterwards."""
    monkeypatch.setattr(kinds, "_things", dict(kinds._things))


def test_a_kind_of_ones_own_is_a_function_under_a_name(registry, bench: Bench) -> None:
    @kind("sharpest")
    def sharpest(bench: Bench) -> Iterator[Row]:
        """The member that is surest of itself."""
        member = max(bench.members, key=lambda m: float(m.outputs.logits.abs().mean()))
        yield Row("sharpest", member.name, (member.net,), outputs=member.outputs.logits)

    (row,) = kinds["sharpest"](bench)
    assert row.parts in {member.name for member in bench.members}
    with pytest.raises(AlnicoError, match="two kinds are named 'sharpest'"):
        kind("sharpest")(lambda bench: iter(()))

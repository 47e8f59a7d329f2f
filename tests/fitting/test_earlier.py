from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from alnico.data.fingerprint import fingerprints
from alnico.data.split import Split
from alnico.data.table import read_table
from alnico.errors import DataError, RecipeError, RunFolderError
from alnico.fitting import Fitted, Options, fit_table, save_run
from alnico.fitting.earlier import Earlier, check_columns, earlier_name, read_earlier, unseen
from alnico.fitting.plan import Sketch, first_pass, make_group
from alnico.fitting.prepare import prepare
from alnico.networks import Architecture
from alnico.runs import RUN, Run


@pytest.fixture(scope="module")
def earlier(run: Path) -> Earlier:
    return read_earlier(run)


@pytest.fixture
def starting(searching: Options, run: Path) -> Options:
    """The same question again, from the run that answered it; nothing is searched."""
    return replace(searching, trials=0, start_from=str(run), kinds=("average",))


def test_members_are_read_as_they_were(earlier: Earlier, searched: Fitted) -> None:
    assert [m.name for m in earlier.members] == [f"{m.name} (earlier)" for m in searched.members]
    for veteran, member in zip(earlier.members, searched.members, strict=True):
        assert veteran.net.architecture == member.net.architecture
        assert veteran.setting == member.setting
        state = member.net.module.state_dict()
        for key, tensor in veteran.net.module.state_dict().items():
            assert torch.equal(tensor, state[key])
        assert not veteran.net.module.training


def test_what_a_member_lost_by_itself_is_known_but_not_what_only_a_group_lost(
    earlier: Earlier, searched: Fitted
) -> None:
    losses = {}
    for veteran, member in zip(earlier.members, searched.members, strict=True):
        found = [e.valid_loss for e in member.history if e.valid_loss is not None]
        own = min(found) if member.group.together == "apart" else np.inf
        assert veteran.best_loss == pytest.approx(own)
        losses.setdefault(member.group.together, []).append(own)
    assert {*losses} >= {"apart", "shared"}


def test_encoder_task_and_target_are_those_of_the_run(earlier, searched, run: Path) -> None:
    assert earlier.place == str(run) and earlier.target == "buys"
    assert earlier.task == searched.prepared.task
    encoder = searched.prepared.encoder
    assert earlier.encoder.schema == encoder.schema and earlier.encoder.levels == encoder.levels
    assert np.array_equal(earlier.encoder.quantiles, encoder.quantiles)
    assert set(earlier.seen) == set(fingerprints(searched.prepared.train).tolist())


def test_a_group_begins_from_the_best_earlier_member_of_its_architecture(earlier, searched) -> None:
    inputs = searched.prepared.encoder.inputs
    (mlp,) = first_pass(inputs, 120, seed=9, only=("mlp",), schemes=("apart",))
    (dcn,) = first_pass(inputs, 120, seed=9, only=("dcn",), schemes=("apart",))
    alike = [m for m in searched.members if m.group.architecture == mlp.architecture]
    best = min(
        (m for m in alike if m.group.together == "apart"),
        key=lambda m: min(e.valid_loss for e in m.history),
    )
    begun = earlier.begin(mlp)
    assert begun == replace(mlp, begins_from=f"{best.name} (earlier)", starts=(0,) * 5)
    assert earlier.begin(dcn) == dcn  # there is none like it
    wider = replace(mlp, architecture=replace(mlp.architecture, width=97))
    assert earlier.begin(wider) == wider
    assert earlier.member(f"{best.name} (earlier)").net.architecture == mlp.architecture


@pytest.mark.parametrize(
    ("name", "taken", "found"),
    [
        ("mlp-0.1", (), "mlp-0.1 (earlier)"),
        ("mlp-0.1 (earlier)", (), "mlp-0.1 (earlier)"),
        ("mlp-0.1", ("mlp-0.1 (earlier)",), "mlp-0.1 (earlier 2)"),
        (
            "mlp-0.1 (earlier 2)",
            ("mlp-0.1 (earlier)", "mlp-0.1 (earlier 2)"),
            "mlp-0.1 (earlier 3)",
        ),
    ],
)
def test_earlier_members_are_marked_once_and_keep_apart(name, taken, found) -> None:
    assert earlier_name(name, set(taken)) == found


def test_a_table_of_the_same_columns_is_read_by_the_same_schema(earlier, shop) -> None:
    schema = check_columns(shop, earlier, Options("buys"))
    assert schema == earlier.encoder.schema
    shuffled = shop.select("country", "buys", "age", "visits")
    assert check_columns(shuffled, earlier, Options("buys")) == schema
    noted = shop.with_columns(note=pl.lit("x"))
    assert check_columns(noted, earlier, Options("buys", drop=("note",))) == schema
    assert check_columns(noted, earlier, Options("buys", group="note")) == schema


@pytest.mark.parametrize(
    ("change", "asked", "error", "text"),
    [
        (
            lambda t: t.drop("age"),
            {},
            DataError,
            r"has not the columns(.|\n)*it lacks 'age'\n(.|\n)*add them",
        ),
        (
            lambda t: t.rename({"age": "ages"}),
            {},
            DataError,
            r"it lacks 'age'; 'ages' is new\n(.|\n)*was 'ages' called 'age' then\?",
        ),
        (
            lambda t: t.with_columns(a=1, b=2),
            {},
            DataError,
            r"'a', 'b' are new\n(.|\n)*leave out new columns with --drop",
        ),
        (
            lambda t: t.with_columns(**{f"c{i}": i for i in range(9)}),
            {},
            DataError,
            r"'c5', \.\.\. 3 more are new",
        ),
        (
            lambda t: t,
            {"drop": ("age",)},
            RecipeError,
            r"reads the columns 'age', which are to be dropped(.|\n)*without --drop",
        ),
        (
            lambda t: t,
            {"target": "visits"},
            RecipeError,
            r"predicts 'buys', not 'visits'\n(.|\n)*--target 'buys'",
        ),
    ],
)
def test_a_table_that_is_not_like_the_earlier_one_is_refused(
    earlier, shop, change: Callable, asked: dict, error: type, text: str
) -> None:
    with pytest.raises(error, match=text):
        check_columns(change(shop), earlier, Options(**{"target": "buys", **asked}))


def part(*rows: int) -> np.ndarray:
    return np.array(rows, np.int64)


def test_rows_that_the_earlier_run_was_trained_on_judge_nothing(earlier: Earlier) -> None:
    prints = np.arange(100, 120)
    split = Split(part(*range(10)), part(10, 11, 12, 13), part(14, 15, 16, 17, 18), "at random")
    same = unseen(split, prints, replace(earlier, seen=prints[:10]))
    assert same is split
    seen = np.array([100, 111, 112, 113, 118, 7])
    left = unseen(split, prints, replace(earlier, seen=seen))
    assert left.valid.tolist() == [10] and left.test.tolist() == [14, 15, 16, 17]
    assert left.train.tolist() == split.train.tolist()  # it may learn from them again
    assert left.how == f"at random, without 4 rows that {earlier.place} was trained on"


@pytest.mark.parametrize(
    ("seen", "name", "n"),
    [((10, 11, 12, 13), "validation", "4 of the 4"), ((14, 15, 16, 17, 18), "test", "5 of the 5")],
)
def test_too_few_rows_to_judge_by_are_an_error(earlier: Earlier, seen, name: str, n: str) -> None:
    split = Split(part(*range(10)), part(10, 11, 12, 13), part(14, 15, 16, 17, 18), "at random")
    with pytest.raises(
        DataError, match=rf"trained on {n} rows of the {name} part(.|\n)*--seed of that run"
    ):
        unseen(split, np.arange(19), replace(earlier, seen=np.array(seen)))


def test_the_same_table_and_seed_leave_none_out_and_another_seed_some(
    earlier, small: pl.DataFrame, starting: Options, searched: Fitted
) -> None:
    same = prepare(read_table(small), starting, earlier=earlier)
    for name in ("train", "valid", "test"):
        assert np.array_equal(getattr(same.split, name), getattr(searched.prepared.split, name))
    other = prepare(read_table(small), replace(starting, seed=1), earlier=earlier)
    trained = set(searched.prepared.split.train.tolist())
    judging = {*other.split.valid.tolist(), *other.split.test.tolist()}
    whole = len(same.split.valid) + len(same.split.test)
    assert not judging & trained and 0 < len(judging) < whole
    assert "rows that" in other.split.how and len(other.folds) == len(other.split.valid)


def test_a_run_that_starts_from_another_has_its_members_and_begins_from_them(
    small: pl.DataFrame, starting: Options, searched: Fitted, tmp_path: Path
) -> None:
    fitted = fit_table(read_table(small), starting)
    names = {member.name for member in fitted.members}
    assert {f"{m.name} (earlier)" for m in searched.members} < names
    singles = {row.parts: row for row in fitted.rows if row.kind == "single"}
    assert "mlp-0.0 (earlier)" in singles and "mlp-0.0" in singles
    was = next(row for row in searched.rows if row.parts == "mlp-0.0")
    assert np.array_equal(singles["mlp-0.0 (earlier)"].test_prediction, was.test_prediction)
    (mlp,) = (g.members for g in fitted.groups if g.members[0].group.name == "mlp-0")
    assert mlp[0].group.begins_from is not None
    assert mlp[0].history[0].valid_loss < searched.groups[0].members[0].history[0].valid_loss
    save_run(tmp_path / "next", fitted)
    once_more = read_earlier(tmp_path / "next")
    assert len({m.name for m in once_more.members}) == len(once_more.members)
    assert set(once_more.seen) == set(fingerprints(fitted.prepared.train).tolist())


def test_members_of_a_shared_loss_come_back_together_as_they_learned(
    small: pl.DataFrame, starting: Options, searched: Fitted
) -> None:
    fitted = fit_table(read_table(small), replace(starting, kinds=("shared",)))
    shared = {m.name for m in searched.members if m.group.together == "shared"}
    assert shared
    singles = {row.parts for row in fitted.rows if row.kind == "single"}
    assert not singles & {f"{name} (earlier)" for name in shared}
    joined = [set(row.names) for row in fitted.rows if row.kind == "shared"]
    for group in searched.groups:
        names = {m.name for m in group.members}
        assert not names <= shared or {f"{name} (earlier)" for name in names} in joined


def test_a_warm_start_is_the_earlier_members_weights(
    small: pl.DataFrame, starting: Options, earlier: Earlier, monkeypatch
) -> None:
    from alnico.fitting import train

    given: list[torch.nn.Module | None] = []
    real = train.train_group

    def spy(group, *args: object, warm, **named: object) -> object:
        given.append(warm)
        short = replace(group, epochs=2, patience=1)
        return real(short, *args, warm=warm, **named)

    monkeypatch.setattr(train, "train_group", spy)
    fitted = fit_table(read_table(small), replace(starting, together=("apart",)))
    (warm,) = given
    begun = next(m.group.begins_from for m in fitted.members if m.group.begins_from)
    veteran = earlier.member(begun).net.module.state_dict()
    assert all(torch.equal(warm.state_dict()[key], veteran[key]) for key in veteran)


def test_a_family_of_an_architecture_that_is_new_begins_anew(earlier: Earlier) -> None:
    group = make_group(Sketch(Architecture("gated"), (("adam", 1e-3),), (0,)), 3, 100, seed=0)
    assert earlier.begin(group).begins_from is None


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda record: record.update(members=[]), "has no members to start from"),
        (lambda record: record["members"][0].pop("network"), "do not fit together"),
        (lambda record: record["members"][0]["setting"].update(speed=3), "do not fit together"),
    ],
)
def test_a_run_folder_that_holds_no_members_is_refused(
    earlier, run: Path, spoil: Callable, text: str, monkeypatch
) -> None:
    from alnico.fitting import earlier as room

    found = room.read_run(run)
    record = json.loads(json.dumps(found.record))
    spoil(record)
    monkeypatch.setattr(room, "read_run", lambda place: replace(found, record=record))
    with pytest.raises(RunFolderError, match=text):
        read_earlier(run)


def test_a_run_that_does_not_tell_what_it_was_trained_on_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = Run.tensors

    def without(self: Run, name: str, *args: object) -> dict:
        kept = tensors(self, name, *args)
        return {k: v for k, v in kept.items() if k != "train.fingerprint"}

    monkeypatch.setattr(Run, "tensors", without)
    with pytest.raises(RunFolderError, match=r"does not tell which rows(.|\n)*fit it anew"):
        read_earlier(run)


def test_what_is_no_run_folder_is_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(RunFolderError, match="nowhere is not there"):
        read_earlier(tmp_path / "nowhere")
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    record = (tmp_path / RUN).read_text("utf-8")
    (tmp_path / RUN).write_text(record.replace('"buys"', '"sells"'), "utf-8")
    with pytest.raises(RunFolderError):
        read_earlier(tmp_path)

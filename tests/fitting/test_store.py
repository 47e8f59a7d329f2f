from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alnico.errors import DataError, OutputError, RunFolderError
from alnico.fitting import Options, Store
from alnico.fitting.members import TrainedGroup
from alnico.fitting.plan import Group
from alnico.fitting.prepare import Prepared
from alnico.runs import write_run

ASKED = Options(target="buys", optimisers=("adam",), seed=3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "run")
    store.begin(ASKED, "digest")
    return store


@pytest.fixture
def resumed(store: Store) -> Store:
    again = Store(store.out)
    again.resume("digest")
    return again


def loaded(store: Store, group: Group, prepared: Prepared) -> TrainedGroup | None:
    return store.load(group, prepared.valid, prepared.encoder.inputs, prepared.task)


def test_a_kept_group_comes_back_bit_for_bit(store, trained, group, prepared) -> None:
    store.save(group, trained)
    again = loaded(store, group, prepared)
    assert (again.way, again.why, again.seconds) == (trained.way, trained.why, trained.seconds)
    for one, other in zip(again.members, trained.members, strict=True):
        assert torch.equal(one.outputs.logits, other.outputs.logits)
        assert torch.equal(one.outputs.features, other.outputs.features)
        for key in ("name", "setting", "start", "best_epoch", "history", "stopped", "family"):
            assert getattr(one, key) == getattr(other, key)
        for net in ("net", "ema", "swa"):
            state = getattr(other, net).module.state_dict()
            for name, tensor in getattr(one, net).module.state_dict().items():
                assert torch.equal(tensor, state[name])
            assert not getattr(one, net).module.training


def test_a_member_without_averages_comes_back_without(store, trained, group, prepared) -> None:
    members = tuple(replace(member, ema=None, swa=None) for member in trained.members)
    store.save(group, replace(trained, members=members))
    assert all(m.ema is None and m.swa is None for m in loaded(store, group, prepared).members)


def test_a_group_that_is_planned_otherwise_now_is_not_taken(store, trained, group, prepared):
    store.save(group, trained)
    for other in (
        replace(group, epochs=25),
        replace(group, architecture=replace(group.architecture, width=17)),
        replace(group, settings=(*group.settings[:-1], replace(group.settings[-1], seed=99))),
        replace(group, name="mlp-7"),
    ):
        assert loaded(store, other, prepared) is None
    assert loaded(store, group, prepared) is not None


def test_nothing_is_there_before_a_group_is_kept(store, group, prepared) -> None:
    assert loaded(store, group, prepared) is None


def test_a_group_that_took_no_step_is_not_kept(store, trained, group, prepared) -> None:
    untrained = tuple(replace(member, history=()) for member in trained.members)
    store.save(group, replace(trained, members=untrained))
    assert loaded(store, group, prepared) is None


def test_a_resumed_run_asks_what_was_asked_and_keeps_its_groups(
    store, trained, group, prepared
) -> None:
    store.save(group, trained)
    again = Store(store.out)
    assert again.resume("digest") == ASKED
    again.begin(ASKED, "digest")
    assert loaded(again, group, prepared) is not None


def test_a_new_run_forgets_what_another_left(store, trained, group, prepared) -> None:
    store.save(group, trained)
    again = Store(store.out)
    again.begin(ASKED, "digest")
    assert loaded(again, group, prepared) is None


def test_another_table_is_refused(store: Store) -> None:
    with pytest.raises(DataError, match="not the one that this run began with"):
        Store(store.out).resume("another")


def test_a_run_that_never_began_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="nothing to go on with"):
        Store(tmp_path / "run").resume("digest")


def test_a_run_whose_test_part_was_opened_cannot_go_on(store: Store) -> None:
    write_run(store.out, {"test_opened": True}, {})
    with pytest.raises(RunFolderError, match="a test part is opened once"):
        Store(store.out).resume("digest")


def test_an_interrupted_run_goes_on(store: Store) -> None:
    write_run(store.out, {"test_opened": False}, {})
    assert Store(store.out).resume("digest") == ASKED


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_a_damaged_note_is_told_from_a_bug(store: Store, text: str) -> None:
    (store.folder / "asked.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"asked\.json is damaged"):
        Store(store.out).resume("digest")


def test_a_place_that_is_taken_is_refused_before_any_work(store: Store, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"run\.partial is there already(.|\n)*--resume"):
        store.check(force=False)
    store.check(force=True)
    write_run(tmp_path / "done", {}, {})
    with pytest.raises(OutputError, match="done"):
        Store(tmp_path / "done").check(force=False)
    Store(tmp_path / "done").check(force=True)
    Store(tmp_path / "free").check(force=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "run.partial"]


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.png").write_bytes(b"cat")
    for force in (True, False):
        with pytest.raises(OutputError, match="photos"):
            Store(photos).check(force=force)
    assert (photos / "cat.png").read_bytes() == b"cat"


def test_a_folder_of_the_unfinished_runs_name_that_is_none_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    with pytest.raises(OutputError, match="is not an unfinished run"):
        Store(tmp_path / "run").check(force=True)


def test_a_place_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"run\.partial cannot be made"):
        Store(tmp_path / "nowhere" / "run").begin(ASKED, "digest")


def test_a_run_that_failed_is_kept_only_if_a_group_was_trained(store, trained, group) -> None:
    store.save(group, trained)
    store.give_up()
    assert store.folder.exists()
    empty = Store(store.out.with_name("other"))
    empty.begin(ASKED, "digest")
    empty.give_up()
    assert not empty.folder.exists()


def test_the_folder_of_the_shell_can_be_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError):
        Store(Path()).check(force=False)


def test_at_the_end_nothing_is_left_of_it(store: Store, trained, group) -> None:
    store.save(group, trained)
    store.end()
    assert not store.folder.exists()
    store.end()


def test_what_is_kept_is_plain_json_and_tensors(store: Store, trained, group) -> None:
    store.save(group, trained)
    kept = sorted(path.name for path in store.folder.iterdir())
    assert kept == ["asked.json", "mlp-0.json", "mlp-0.safetensors"]
    record = json.loads((store.folder / "mlp-0.json").read_text())
    assert record["group"]["settings"][3]["optimiser"] == "sgd"
    assert len(record["members"]) == 4

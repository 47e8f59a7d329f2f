from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
from alnico.searching import Between, Study

ASKED = Options(target="buys", optimisers=("adam",), seed=3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "run")
    store.begin(ASKED, "digest")
    return store


@pytest.fixture
def resumed(store: Store) -> Store:
    store.pause()
    again = Store(store.out)
    again.resume("digest")
    return again


def study_of(n_trials: int) -> Study:
    """Trials of which the second failed."""
    study = Study({"rate": Between(0.0, 1.0)}, seed=3)
    for number in range(n_trials):
        value = None if number == 1 else number / 7
        study.tell(study.ask(), value, seconds=0.1, why=None if value is not None else "it fell")
    return study


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
    store.pause()
    again = Store(store.out)
    assert again.resume("digest") == ASKED
    again.begin(ASKED, "digest")
    assert loaded(again, group, prepared) is not None


def test_a_new_run_forgets_what_another_left(store, trained, group, prepared) -> None:
    store.save(group, trained)
    store.save_study("family", study_of(2))
    store.pause()
    again = Store(store.out)
    again.begin(ASKED, "digest")
    assert loaded(again, group, prepared) is None and again.load_study("family") == []
    assert sorted(path.name for path in again.folder.iterdir()) == ["asked.json", "lock"]


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
    store.pause()
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
    assert kept == ["asked.json", "lock", "mlp-0.json", "mlp-0.safetensors"]
    record = json.loads((store.folder / "mlp-0.json").read_text())
    assert record["group"]["settings"][3]["optimiser"] == "sgd"
    assert len(record["members"]) == 4


def test_the_trials_of_a_study_come_back_as_they_were(resumed: Store) -> None:
    study = study_of(3)
    resumed.save_study("family", study_of(2))
    resumed.save_study("family", study)
    assert resumed.load_study("family") == study.trials
    assert resumed.load_study("fusion") == []
    assert Study(study.space, seed=3, trials=resumed.load_study("family")).ask() == study.ask()


def test_a_run_that_starts_anew_takes_up_no_study(store: Store) -> None:
    store.save_study("family", study_of(2))
    assert store.load_study("family") == []


@pytest.mark.parametrize("text", ["", '{"seed": 3}', '{"trials": [{"number": 0}]}'])
def test_a_damaged_study_is_told_from_a_bug(resumed: Store, text: str) -> None:
    (resumed.folder / "family.study.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"family\.study\.json is damaged(.|\n)*--force"):
        resumed.load_study("family")


HOLDER = """
import sys
from pathlib import Path
from filelock import FileLock
with FileLock(Path(sys.argv[1]) / "lock"):
    sys.stdout.write("held")
    sys.stdout.flush()
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[None]:
    """While another process works in the folder."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(4) == b"held"
        yield
        process.communicate()


def test_a_folder_that_another_process_is_at_is_left_as_it_is(store, trained, group) -> None:
    store.save(group, trained)
    store.pause()
    before = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    with held_elsewhere(store.folder):
        for attempt in (
            lambda other: other.begin(ASKED, "digest"),
            lambda other: other.resume("digest"),
        ):
            other = Store(store.out)
            with pytest.raises(OutputError, match=r"held by another process(.|\n)*wait until it"):
                attempt(other)
            assert other.give_up() is False
            assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before
    assert Store(store.out).resume("digest") == ASKED  # it has ended


def test_a_run_keeps_others_out_until_it_pauses_or_ends(store: Store) -> None:
    for let_go in (store.pause, store.give_up, store.end):
        other = Store(store.out)
        with pytest.raises(OutputError, match="held by another process"):
            other.begin(ASKED, "digest")
        let_go()
        other.begin(ASKED, "digest")
        other.pause()
        store.begin(ASKED, "digest")

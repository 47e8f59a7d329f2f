from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

import alnico
from alnico.data.fingerprint import fingerprints
from alnico.errors import OutputError, RunFolderError
from alnico.fitting import Fitted, predictor, save_run
from alnico.fitting.earlier import read_earlier
from alnico.fitting.predicts import Predicts
from alnico.runs import MEMBERS, MODEL, PREDICTIONS, RUN, read_run
from alnico.searching import Study


@pytest.fixture(scope="module")
def folder(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    save_run(folder, fitted)
    return folder


@pytest.fixture(scope="module")
def record(folder: Path) -> dict:
    return json.loads((folder / RUN).read_text("utf-8"))


def test_a_run_folder_is_four_files_and_no_pickle(folder: Path, record: dict) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted([RUN, MODEL, MEMBERS, PREDICTIONS])
    for name in (MODEL, MEMBERS, PREDICTIONS):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert record["files"][name]["sha256"] == digest
        assert load_file(folder / name)


def test_the_record_says_what_was_asked_of_what_and_what_came_of_it(record, fitted, shop) -> None:
    assert record["status"] == "complete" and record["test_opened"] is True
    assert record["options"]["target"] == "buys" and record["seed"] == 0
    assert record["table"]["rows"] == 500 and len(record["table"]["sha256"]) == 64
    assert record["task"]["classes"] == ["no", "yes"] and record["metric"] == "log_loss"
    assert record["split"]["train"] + record["split"]["valid"] + record["split"]["test"] == 500
    assert set(record["versions"]) >= {"alnico", "torch"}
    assert record["verdict"]["text"] == fitted.verdict.text
    assert [row["kind"] for row in record["rows"]] == [row.kind for row in fitted.rows]
    assert record["rows"][record["best_single"] - 1]["kind"] == "single"


def test_every_member_is_told_with_its_history(record: dict, fitted: Fitted) -> None:
    assert [m["name"] for m in record["members"]] == [m.name for m in fitted.members]
    for told, member in zip(record["members"], fitted.members, strict=True):
        assert told["setting"]["optimiser"] == member.setting.optimiser
        assert len(told["history"]) == len(member.history)
        assert told["history"][0]["valid_loss"] == member.history[0].valid_loss
        assert record["networks"][told["network"]]["name"] == "mlp"
        assert (told["group"], told["together"]) == (member.group.name, member.group.together)
    assert {m["together"] for m in record["members"]} == {"apart", "shared", "papa"}


def test_every_network_is_kept_once_and_the_best_rows_in_the_model(folder, record) -> None:
    model, members = load_file(folder / MODEL), load_file(folder / MEMBERS)
    assert not set(model) & set(members)
    kept = {name.split(".")[1] for name in (*model, *members) if name.startswith("network.")}
    assert kept == {str(i) for i in range(len(record["networks"]))}
    in_model = {name.split(".")[1] for name in model if name.startswith("network.")}
    chosen = record["rows"][record["predicts"]["row"] - 1]
    assert in_model == {str(i) for i in chosen["networks"]}


def test_the_model_and_the_record_are_enough_to_predict(folder, shop, tmp_path) -> None:
    for name in (RUN, MODEL):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    whole, part = (alnico.load(place).predict_proba(shop) for place in (folder, tmp_path))
    assert (whole == part).all()
    with pytest.raises(RunFolderError, match=r"members\.safetensors is missing"):
        alnico.load(tmp_path, row=2 if alnico.load(folder).row["row"] == 1 else 1)


def test_predictions_are_rows_targets_and_scores_of_both_parts(folder, record, fitted) -> None:
    kept = load_file(folder / PREDICTIONS)
    for part in ("valid", "test"):
        index = getattr(fitted.prepared.split, part)
        assert kept[f"{part}.index"].tolist() == index.tolist()
        assert kept[f"{part}.target"].tolist() == fitted.prepared.target[index].tolist()
    live = [row["row"] for row in record["rows"] if row["skipped"] is None]
    for number in live:
        np.testing.assert_allclose(kept[f"test.row.{number}"].sum(1), 1)
    ranked = {f"valid.row.{row['row']}" for row in record["rows"] if row["rank"] is not None}
    assert {name for name in kept if name.startswith("valid.row")} == ranked


def test_any_row_predicts_what_it_was_scored_by(folder, record, fitted, shop) -> None:
    test = shop[fitted.prepared.split.test]
    kept = load_file(folder / PREDICTIONS)
    for row in record["rows"]:
        said = alnico.load(folder, row=row["row"]).predict_proba(test)
        np.testing.assert_allclose(said, kept[f"test.row.{row['row']}"], atol=1e-5)


def test_an_interrupted_run_keeps_no_word_of_the_test_part(fitted: Fitted, tmp_path: Path) -> None:
    shut = [
        replace(row, test_score=None, test_scores={}, gain=None, test_prediction=None)
        for row in fitted.rows
    ]
    early = replace(fitted, rows=shut, verdict=None, status="interrupted")
    save_run(tmp_path / "run", early)
    record = json.loads((tmp_path / "run" / RUN).read_text())
    assert record["test_opened"] is False and record["verdict"] is None
    assert all(row["test"] is None for row in record["rows"])
    assert not [name for name in load_file(tmp_path / "run" / PREDICTIONS) if "test" in name]


def test_a_loss_that_was_not_finite_is_null_in_the_record(fitted: Fitted, tmp_path: Path) -> None:
    group = fitted.groups[0]
    first = group.members[0]
    epoch = replace(first.history[0], train_loss=float("nan"), valid_loss=float("inf"))
    diverged = replace(first, history=(epoch,), stopped="diverged")
    groups = [replace(group, members=(diverged, *group.members[1:])), *fitted.groups[1:]]
    save_run(tmp_path / "run", replace(fitted, groups=groups))
    told = json.loads((tmp_path / "run" / RUN).read_text())["members"][0]["history"]
    assert told[0]["train_loss"] is None and told[0]["valid_loss"] is None


def test_a_run_that_is_there_is_replaced_only_by_force(fitted: Fitted, tmp_path: Path) -> None:
    save_run(tmp_path / "run", fitted)
    before = (tmp_path / "run" / RUN).read_bytes()
    with pytest.raises(OutputError, match="run"):
        save_run(tmp_path / "run", fitted)
    assert (tmp_path / "run" / RUN).read_bytes() == before
    save_run(tmp_path / "run", fitted, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_nothing_in_memory_changes_by_saving(fitted: Fitted, tmp_path: Path) -> None:
    before = [p.clone() for net in fitted.rows[0].nets for p in net.module.parameters()]
    save_run(tmp_path / "run", fitted)
    after = [p for net in fitted.rows[0].nets for p in net.module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_every_trial_is_told_the_failed_ones_too(run: Path, searched: Fitted, tmp_path) -> None:
    study = read_run(run).record["study"]
    assert study["seed"] == 0 and "validation loss" in study["objective"]
    trials = [(w, t) for w, found in searched.studies.items() for t in found.trials]
    assert [told["number"] for told in study["trials"]] == list(range(len(trials)))
    for told, (what, trial) in zip(study["trials"], trials, strict=True):
        assert (told["what"], told["state"]) == (what, trial.state)
        assert told["params"] == dict(trial.params) and told["value"] == trial.value
        if what == "family":
            assert str(trial.params["architecture"]) in told["name"]
            assert str(trial.params["together"]) in told["name"]
        else:
            used = sum(trial.params[name] is True for name in trial.params)
            assert told["name"] == f"{trial.params['structure']} of {used} groups"
    family = searched.studies["family"]
    failed = Study(family.space, seed=0, trials=family.trials)
    failed.tell(failed.ask(), float("nan"))
    save_run(tmp_path / "run", replace(searched, studies={"family": failed}))
    last = read_run(tmp_path / "run").record["study"]["trials"][-1]
    assert (last["state"], last["value"], last["why"]) == ("failed", None, "it gave nan")


def test_without_a_search_there_is_no_study(record: dict) -> None:
    assert record["study"] is None


def test_it_is_told_which_row_predicts_and_why(record: dict, fitted: Fitted) -> None:
    assert record["predicts"] == {"row": fitted.predicts.row, "why": fitted.predicts.why}


def test_a_fusion_tells_how_far_it_leans_on_each_member(record: dict, fitted: Fitted) -> None:
    members = {m["name"] for m in record["members"]}
    for told, row in zip(record["rows"], fitted.rows, strict=True):
        if row.leaning is None:
            assert told["leaning"] is None
            continue
        assert {entry["member"] for entry in told["leaning"]} <= members
        assert len(told["leaning"]) == len(told["networks"])
        assert sum(entry["share"] for entry in told["leaning"]) == pytest.approx(1, abs=1e-2)
    assert sum(told["leaning"] is not None for told in record["rows"]) >= 5


def test_of_training_rows_a_number_each_is_kept_and_those_that_earlier_members_saw(
    fitted: Fitted, folder: Path, tmp_path: Path
) -> None:
    own = fingerprints(fitted.prepared.train)
    assert set(load_file(folder / PREDICTIONS)["train.fingerprint"].tolist()) == set(own.tolist())
    earlier = replace(read_earlier(folder), seen=np.array([1, 2, int(own[0])]))
    save_run(tmp_path / "run", replace(fitted, earlier=earlier))
    kept = load_file(tmp_path / "run" / PREDICTIONS)["train.fingerprint"].tolist()
    assert set(kept) == {1, 2, *own.tolist()} and len(kept) == len(set(kept))


def test_what_predicts_in_memory_says_the_same_as_the_folder_bit_for_bit(
    fitted: Fitted, folder: Path, shop: pl.DataFrame
) -> None:
    here, there = predictor(fitted), alnico.load(folder)
    assert (here.predict_proba(shop) == there.predict_proba(shop)).all()
    assert here.row["row"] == there.row["row"] == fitted.predicts.row
    assert here.target == there.target and here.metric == there.metric


def test_a_row_other_than_the_first_predicts_if_it_was_chosen(
    fitted: Fitted, shop: pl.DataFrame, tmp_path: Path
) -> None:
    number, row = next((n, r) for n, r in enumerate(fitted.rows, 1) if r.kind == "distilled")
    chosen = replace(fitted, predicts=Predicts(number, "it is small"))
    save_run(tmp_path / "run", chosen)
    test = shop[fitted.prepared.split.test]
    said = alnico.load(tmp_path / "run").predict_proba(test)
    np.testing.assert_allclose(said, row.test_prediction, atol=1e-6)
    assert (predictor(chosen).predict_proba(test) == said).all()
    assert {n.split(".")[0] for n in load_file(tmp_path / "run" / MODEL)} == {
        "encoder",
        "network",
        "row",
    }
    size = sum(t.numel() for n, t in load_file(tmp_path / "run" / MODEL).items() if "network" in n)
    assert size == row.n_parameters  # who predicts with the student carries the student alone

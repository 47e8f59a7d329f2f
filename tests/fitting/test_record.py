from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import alnico
from alnico.errors import OutputError, RunFolderError
from alnico.fitting import Fitted, save_run
from alnico.runs import MEMBERS, MODEL, PREDICTIONS, RUN


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


def test_every_network_is_kept_once_and_the_best_rows_in_the_model(folder, record) -> None:
    model, members = load_file(folder / MODEL), load_file(folder / MEMBERS)
    assert not set(model) & set(members)
    kept = {name.split(".")[1] for name in (*model, *members) if name.startswith("network.")}
    assert kept == {str(i) for i in range(len(record["networks"]))}
    in_model = {name.split(".")[1] for name in model if name.startswith("network.")}
    assert in_model == {str(i) for i in record["rows"][0]["networks"]}


def test_the_model_and_the_record_are_enough_to_predict(folder, shop, tmp_path) -> None:
    for name in (RUN, MODEL):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    whole, part = (alnico.load(place).predict_proba(shop) for place in (folder, tmp_path))
    assert (whole == part).all()
    with pytest.raises(RunFolderError, match=r"members\.safetensors is missing"):
        alnico.load(tmp_path, row=2)


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

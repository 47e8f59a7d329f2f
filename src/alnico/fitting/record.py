"""What a fit leaves: the record and the tensors of its run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alnico.data.fingerprint import fingerprints
from alnico.errors import RecipeError
from alnico.fitting.fitted import Fitted
from alnico.fitting.leaderboard import best_single
from alnico.fitting.members import Net
from alnico.fitting.rows import Row
from alnico.fitting.search import OBJECTIVE
from alnico.predicting import Predictor
from alnico.runs import MEMBERS, MODEL, PREDICTIONS, write_run
from alnico.searching import Trial
from alnico.types import StateDict


def save_run(folder: Path, fitted: Fitted, *, force: bool = False) -> None:
    """Write the run folder, all or nothing.

    A later run may start from its members: of the training rows it keeps a number each, so that
    rows which they have seen are told from new ones.

    Args:
        folder: Where.
        fitted: What to keep.
        force: Replace a run folder that is there.

    Raises:
        OutputError: If it is there and not `force`, or cannot be written.
        RecipeError: If a member is a module that cannot be made anew from a file.
    """
    _check_networks(fitted)
    nets = _nets(fitted)
    ids = {id(net.module): i for i, net in enumerate(nets)}
    write_run(
        folder,
        _record(fitted, nets, ids),
        {
            MODEL: _model(fitted, ids),
            MEMBERS: _others(fitted, nets, ids),
            PREDICTIONS: _predictions(fitted),
        },
        force=force,
    )


def predictor(fitted: Fitted) -> Predictor:
    """What predicts after a fit, in memory; a run folder of it says the same."""
    prepared = fitted.prepared
    number, row = _predicting(fitted)
    assert row.calibration is not None
    return Predictor(
        encoder=prepared.encoder,
        task=prepared.task,
        target=fitted.options.target,
        metric=prepared.metric.name,
        row=fitted.records()[number - 1],
        network=row.network.eval(),
        calibration=row.calibration,
    )


def _check_networks(fitted: Fitted) -> None:
    strange = [
        member.name
        for member in fitted.members
        if member.net.architecture.name == "given" and not member.net.architecture.layers
    ]
    if strange:
        raise RecipeError(
            f"{', '.join(strange)}: a run folder holds no code, so it cannot hold networks of your "
            "own classes",
            help="build them as a plain nn.Sequential, or predict in this process",
        )


def _live(fitted: Fitted) -> list[tuple[int, Row]]:
    return [(n, row) for n, row in enumerate(fitted.rows, 1) if row.skipped is None]


def _predicting(fitted: Fitted) -> tuple[int, Row]:
    assert fitted.predicts is not None, "a fit that has rows has chosen the one that predicts"
    return fitted.predicts.row, fitted.rows[fitted.predicts.row - 1]


def _nets(fitted: Fitted) -> list[Net]:
    """Every network once, those of the best row first."""
    found: dict[int, Net] = {}
    for _, row in _live(fitted):
        for net in row.nets:
            found.setdefault(id(net.module), net)
    for member in fitted.members:
        found.setdefault(id(member.net.module), member.net)
    return list(found.values())


def _record(fitted: Fitted, nets: list[Net], ids: Mapping[int, int]) -> dict[str, Any]:
    prepared = fitted.prepared
    rows = []
    for record, row in zip(fitted.records(), fitted.rows, strict=True):
        structure = row.structure
        joins = structure and {"name": structure.name, "settings": structure.settings}
        networks = [ids[id(net.module)] for net in row.nets]
        own = {"networks": networks, "structure": joins, "leaning": _leaning(row)}
        rows.append({**record, **own})
    single = best_single(fitted.rows)
    return {
        "status": fitted.status,
        "test_opened": fitted.test_opened,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(fitted.seconds, 3),
        "versions": {"alnico": version("alnico"), "torch": torch.__version__.split("+")[0]},
        "threads": torch.get_num_threads(),
        "seed": fitted.options.seed,
        "options": fitted.options.to_json(),
        "table": {
            "source": prepared.table.source,
            "sha256": prepared.table.digest,
            "rows": prepared.table.frame.height,
        },
        "task": asdict(prepared.task),
        "metric": prepared.metric.name,
        "split": {
            "how": prepared.split.how,
            "train": len(prepared.split.train),
            "valid": len(prepared.split.valid),
            "test": len(prepared.split.test),
        },
        "leaks": [asdict(leak) for leak in prepared.leaks],
        "encoder": prepared.encoder.to_json(),
        "networks": [asdict(net.architecture) for net in nets],
        "groups": [
            {"name": g.members[0].group.name, "way": g.way, "why": g.why, "seconds": g.seconds}
            for g in fitted.groups
        ],
        "members": [
            {
                "name": m.name,
                "network": ids[id(m.net.module)],
                "setting": asdict(m.setting),
                "start": m.start,
                "group": m.group.name,
                "together": m.group.together,
                "best_epoch": m.best_epoch,
                "stopped": m.stopped,
                "history": [_finite(asdict(epoch)) for epoch in m.history],
                "seconds": round(m.seconds, 3),
            }
            for m in fitted.members
        ],
        "rows": rows,
        "best_single": single and fitted.rows.index(single) + 1,
        "predicts": fitted.predicts and asdict(fitted.predicts),
        "study": _study(fitted),
        "verdict": fitted.verdict and asdict(fitted.verdict),
    }


def _leaning(row: Row) -> list[dict[str, Any]] | None:
    if row.leaning is None:
        return None
    pairs = zip(row.names, row.leaning, strict=True)
    return [{"member": name, "share": round(share, 4)} for name, share in pairs]


def _study(fitted: Fitted) -> dict[str, Any] | None:
    """What was searched: every trial, the failed ones too."""
    if not fitted.studies:
        return None
    trials: list[dict[str, Any]] = []
    for what, study in fitted.studies.items():
        for trial in study.trials:
            # one count over both studies, in the order in which they were run
            changed = {"number": len(trials), "seconds": round(trial.seconds, 3)}
            told = {"what": what, "name": _named(trial, what)}
            trials.append({**told, **trial.to_json(), **changed})
    return {"seed": fitted.options.seed, "objective": OBJECTIVE, "trials": trials}


def _named(trial: Trial, what: str) -> str:
    """A trial in a few words."""
    chosen = trial.params
    if what == "family":
        size = f"{chosen['architecture']} {chosen['width']} x {chosen['depth']}"
        return f"{size}, {chosen['together']}"
    used = sum(value is True for name, value in chosen.items() if name != "structure")
    return f"{chosen['structure']} of {used} groups"


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in record.items()
    }


def _model(fitted: Fitted, ids: Mapping[int, int]) -> StateDict:
    """The network of the row that predicts, and the encoder's arrays: enough to predict with."""
    number, best = _predicting(fitted)
    tensors = {f"encoder.{k}": v for k, v in fitted.prepared.encoder.arrays().items()}
    for net in best.nets:
        tensors |= _network(net, ids)
    return tensors | _own(number, best)


def _others(fitted: Fitted, nets: list[Net], ids: Mapping[int, int]) -> StateDict:
    """All networks and structures that are not in the model file."""
    chosen, best = _predicting(fitted)
    in_model = {id(net.module) for net in best.nets}
    tensors: StateDict = {}
    for net in nets:
        if id(net.module) not in in_model:
            tensors |= _network(net, ids)
    for number, row in _live(fitted):
        if number != chosen:
            tensors |= _own(number, row)
    return tensors


def _network(net: Net, ids: Mapping[int, int]) -> StateDict:
    state = net.module.state_dict()
    return {f"network.{ids[id(net.module)]}.{key}": value for key, value in state.items()}


def _own(number: int, row: Row) -> StateDict:
    """A row's calibration and structure."""
    assert row.calibration is not None
    tensors = {
        f"row.{number}.scale": row.calibration.scale,
        f"row.{number}.offset": row.calibration.offset,
    }
    if row.structure is not None:
        state = row.structure.state_dict()
        tensors |= {f"row.{number}.structure.{key}": value for key, value in state.items()}
    return tensors


def _predictions(fitted: Fitted) -> StateDict:
    """Row numbers, targets and every row's predictions of the parts that were opened."""
    prepared = fitted.prepared
    parts = {"valid": prepared.split.valid}
    if fitted.test_opened:
        parts["test"] = prepared.split.test
    seen = fingerprints(prepared.train)
    if fitted.earlier is not None:  # its members are members here, too
        seen = np.union1d(seen, fitted.earlier.seen)
    tensors: StateDict = {"train.fingerprint": torch.from_numpy(seen)}
    for part, index in parts.items():
        tensors[f"{part}.index"] = torch.from_numpy(index)
        tensors[f"{part}.target"] = torch.from_numpy(prepared.target[index])
        for number, row in _live(fitted):
            scores = row.valid_prediction if part == "valid" else row.test_prediction
            if scores is not None:
                tensors[f"{part}.row.{number}"] = torch.from_numpy(scores)
    return tensors

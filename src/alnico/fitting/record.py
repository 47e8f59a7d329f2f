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

from alnico.fitting.fit import Fitted
from alnico.fitting.leaderboard import best_single
from alnico.fitting.members import Net
from alnico.fitting.rows import Row
from alnico.runs import MEMBERS, MODEL, PREDICTIONS, write_run
from alnico.types import StateDict


def save_run(folder: Path, fitted: Fitted, *, force: bool = False) -> None:
    """Write the run folder, all or nothing.

    Args:
        folder: Where.
        fitted: What to keep.
        force: Replace a run folder that is there.

    Raises:
        OutputError: If it is there and not `force`, or cannot be written.
    """
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


def _live(fitted: Fitted) -> list[tuple[int, Row]]:
    return [(n, row) for n, row in enumerate(fitted.rows, 1) if row.skipped is None]


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
        rows.append({**record, "networks": networks, "structure": joins})
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
                "best_epoch": m.best_epoch,
                "stopped": m.stopped,
                "history": [_finite(asdict(epoch)) for epoch in m.history],
                "seconds": round(m.seconds, 3),
            }
            for m in fitted.members
        ],
        "rows": rows,
        "best_single": single and fitted.rows.index(single) + 1,
        "verdict": fitted.verdict and asdict(fitted.verdict),
    }


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in record.items()
    }


def _model(fitted: Fitted, ids: Mapping[int, int]) -> StateDict:
    """The best row's network, and the encoder's arrays: enough to predict with."""
    number, best = _live(fitted)[0]
    tensors = {f"encoder.{k}": v for k, v in fitted.prepared.encoder.arrays().items()}
    for net in best.nets:
        tensors |= _network(net, ids)
    return tensors | _own(number, best)


def _others(fitted: Fitted, nets: list[Net], ids: Mapping[int, int]) -> StateDict:
    """All networks and structures that are not in the model file."""
    live = _live(fitted)
    in_model = {id(net.module) for net in live[0][1].nets}
    tensors: StateDict = {}
    for net in nets:
        if id(net.module) not in in_model:
            tensors |= _network(net, ids)
    for number, row in live[1:]:
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
    tensors: StateDict = {}
    for part, index in parts.items():
        tensors[f"{part}.index"] = torch.from_numpy(index)
        tensors[f"{part}.target"] = torch.from_numpy(prepared.target[index])
        for number, row in _live(fitted):
            scores = row.valid_prediction if part == "valid" else row.test_prediction
            if scores is not None:
                tensors[f"{part}.row.{number}"] = torch.from_numpy(scores)
    return tensors

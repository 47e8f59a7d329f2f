"""Run folders written here, small and of every kind of task, and a reader of pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alnico.evaluation.evaluate import evaluate
from alnico.report.facts import Facts
from alnico.runs import PREDICTIONS, read_run, write_run
from alnico.types import Task

KINDS = ("concat", "single", "average", "single", "linear")
PARTS = ("mlp x2, gated", "mlp-0.1", "all 3 members", "gated-1.0", "logistic regression")
N_ROWS = 200


def predictions(task: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and predictions that know something of them."""
    draw = np.random.default_rng(seed)
    if not task.is_classification:
        truth = np.random.default_rng(9).normal(20, 5, N_ROWS)
        return truth, truth + draw.normal(0, 1 + seed, N_ROWS)
    n_classes = len(task.classes)
    truth = np.random.default_rng(9).integers(0, n_classes, N_ROWS)
    logits = draw.normal(size=(N_ROWS, n_classes)) + 2 * np.eye(n_classes)[truth]
    return truth, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def row(n: int, task: Task, metric: str, *, is_open: bool) -> dict[str, Any]:
    scores = evaluate(*predictions(task, n), task)
    gain = 0.0 if n == 2 else 0.03 - 0.01 * n
    return {
        "row": n,
        "rank": n,
        "kind": KINDS[n - 1],
        "parts": PARTS[n - 1],
        "parameters": 10 ** (6 - n),
        "valid": scores[metric],
        "test": scores[metric] if is_open else None,
        "test_scores": scores if is_open else {},
        "gain": gain if is_open else None,
        "gain_low": (0.0 if n == 2 else gain - 0.004) if is_open else None,
        "gain_high": (0.0 if n == 2 else gain + 0.005) if is_open else None,
        "fit_seconds": 1.5 * n,
        "microseconds_a_row": 10.0 / n if is_open else None,
        "skipped": None,
        "networks": [0],
        "structure": None,
        "leaning": [{"member": "mlp-0.0", "share": 0.7}, {"member": "gated-1.0", "share": 0.3}]
        if n == 1
        else None,
    }


def member(name: str, network: int, n_epochs: int) -> dict[str, Any]:
    history = [
        {"epoch": e, "train_loss": 1 / e, "valid_loss": None if e == 3 else 1.1 / e, "rate": 0.01}
        for e in range(1, n_epochs + 1)
    ]
    setting = {"optimiser": "adamw", "rate": 0.002, "weight_decay": 0.01, "seed": 0}
    made = {"name": name, "network": network, "setting": setting, "start": 0, "seconds": 1.0}
    return made | {"best_epoch": 2, "stopped": "patience", "history": history, "together": "papa"}


def trial(number: int, what: str, value: float | None) -> dict[str, Any]:
    return {
        "number": number,
        "what": what,
        "state": "failed" if value is None else "complete",
        "value": value,
        "params": {"depth": 2, "rate": 0.001},
        "seconds": 2.0,
        "why": "the loss was NaN" if value is None else None,
        "name": f"mlp-{number}",
    }


def record(task: Task, metric: str, *, is_open: bool) -> dict[str, Any]:
    rows = [row(n, task, metric, is_open=is_open) for n in range(1, 6)]
    skipped = dict.fromkeys(rows[0]) | {"kind": "papa", "parts": "", "skipped": "no time was left"}
    column = {"name": "visits", "type": "number", "n_missing": 0, "n_unique": 9}
    schema = {"columns": [column], "dropped": [{"name": "id", "why": "as asked"}], "target": "buys"}
    values = (0.31, None, 0.29, 0.30)
    return {
        "status": "complete" if is_open else "interrupted",
        "test_opened": is_open,
        "created": "2025-03-01T10:00:00+00:00",
        "seconds": 61.0,
        "versions": {"alnico": "0.1.0", "torch": "2.13.0"},
        "threads": 2,
        "seed": 7,
        "options": {"target": "buys"},
        "table": {"source": "data/shop.csv", "sha256": "ab" * 32, "rows": 1000},
        "task": {"kind": task.kind, "classes": list(task.classes), "center": 0.0, "scale": 1.0},
        "metric": metric,
        "split": {"how": "60 / 20 / 20 by class, seed 7", "train": 600, "valid": 200, "test": 200},
        "leaks": [{"column": "total", "metric": "roc_auc", "score": 0.999}],
        "encoder": {"schema": schema},
        "networks": [{"name": "mlp"}, {"name": "gated"}],
        "members": [member("mlp-0.0", 0, 4), member("mlp-0.1", 0, 6), member("gated-1.0", 1, 20)],
        "rows": [*rows, skipped],
        "best_single": 2,
        "verdict": {"paid": True, "text": "Fusing paid. It is better."} if is_open else None,
        "predicts": {"row": 3, "why": "it is small"},
        "study": {
            "seed": 7,
            "objective": "log_loss",
            "trials": [trial(i, ("family", "fusion")[i % 2], v) for i, v in enumerate(values)],
        },
    }


TASKS = {
    "binary": (Task("binary", ("no", "yes")), "log_loss"),
    "multiclass": (Task("multiclass", ("red", "green", "blue")), "roc_auc"),
    "regression": (Task("regression"), "rmse"),
}


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run folder of a kind of task; `change` may change its record first."""

    def write(
        kind: str = "binary",
        *,
        is_open: bool = True,
        change: Callable[[dict[str, Any]], object] = lambda record: None,
    ) -> Path:
        task, metric = TASKS[kind]
        made = json.loads(json.dumps(record(task, metric, is_open=is_open)))
        change(made)
        part = "test" if is_open else "valid"
        tensors = {f"{part}.target": torch.from_numpy(predictions(task, 1)[0])}
        for n in range(1, 6):
            tensors[f"{part}.row.{n}"] = torch.from_numpy(predictions(task, n)[1])
        folder = tmp_path / "run"
        model = {"encoder.x": torch.zeros(1)}
        write_run(
            folder, made, {"model.safetensors": model, PREDICTIONS: tensors}, force=folder.exists()
        )
        return folder

    return write


@pytest.fixture
def make_facts(make_run: Callable[..., Path]) -> Callable[..., Facts]:
    """The facts of such a run."""
    return lambda *words, **options: Facts(read_run(make_run(*words, **options)))


class Page(HTMLParser):
    """What is in a page: elements with attributes, text, chart data, and whether it is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.charts: dict[str, dict[str, Any]] = {}
        self.scripts: list[str] = []
        self.text = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "script" and attributes.get("type") == "application/json":
            self.charts[str(attributes["id"]).removesuffix("-data")] = json.loads(data)
        elif tag == "script":
            self.scripts.append(data)
        elif tag != "style":
            self.text += data if tag in ("span", "b", "small") else f" {data}"

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a name."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="session")
def read_page() -> type[Page]:
    return Page

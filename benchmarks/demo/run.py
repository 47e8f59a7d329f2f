"""Every kind of row against a linear model and LightGBM, on three tables and three seeds.

    pip install lightgbm                              # the peer, for this benchmark alone
    python benchmarks/demo/run.py                     # writes results.json, prints the tables
    python benchmarks/demo/run.py --only clothing --seeds 1

The demo's two tables, and bank marketing without `duration`, which is known only after the call.
All figures are of the test part, which each fit opens once; a kind's row is its best by validation.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alnico import progress
from alnico.data import demo
from alnico.data.table import Table, read_table
from alnico.evaluation.intervals import paired_gain
from alnico.evaluation.metrics import metrics, score
from alnico.fitting import Fitted, Options, fit_table
from alnico.fitting.linear import design_matrix

HERE = Path(__file__).parent
BANK = HERE.parents[2] / "shared" / "data" / "bank_marketing" / "bank-full.csv.gz"
SCORES = ("roc_auc", "average_precision", "log_loss")
PEERS = ("lightgbm", "lightgbm_refit")


@dataclass(frozen=True)
class Result:
    """What one kind, or a peer, comes to on one table and seed."""

    kind: str
    parts: str
    scores: dict[str, float]
    over_single: tuple[float, float, float]
    over_lightgbm: tuple[float, float, float]
    cpu_seconds: float
    parameters: int | None


def cases(bank: Path, seed: int, only: str | None) -> Iterator[tuple[str, Table, Options]]:
    """Name, table and what is asked of it."""
    for shop in (demo.purchases, demo.clothing):
        if only in (None, shop.__name__):
            table = shop()
            options = Options(
                target=table.target, seed=seed, drop=table.drop, time_column=table.time_column
            )
            yield table.name, read_table(table.frame, name=table.name), options
    if only in (None, "bank_marketing"):
        if bank.is_file():
            options = Options(target="y", seed=seed, drop=("duration",))
            yield "bank_marketing", read_table(bank), options
        else:
            print(f"bank_marketing is left out: there is no {bank}")


def lightgbm(fitted: Fitted, *, refit: bool) -> tuple[NDArray[np.float64], float]:
    """LightGBM with its defaults on what the linear model reads: probabilities, CPU seconds.

    It has no use for validation rows, so the second row is trained on them, too.
    """
    from lightgbm import LGBMClassifier

    prepared = fitted.prepared
    parts = [prepared.train, prepared.valid] if refit else [prepared.train]
    from scipy import sparse

    began = time.process_time()
    designs = [design_matrix(part.inputs, prepared.encoder.inputs) for part in parts]
    target = np.concatenate([part.target.numpy() for part in parts])
    model = LGBMClassifier(verbose=-1, n_jobs=1, random_state=fitted.options.seed)
    model.fit(sparse.vstack(designs).tocsr(), target)
    seconds = time.process_time() - began
    test = design_matrix(prepared.open_test().inputs, prepared.encoder.inputs)
    return np.asarray(model.predict_proba(test)), seconds


def run(table: Table, options: Options) -> list[Result]:
    """Fit once, and hold every kind against the best single network and LightGBM."""
    wall, cpu = time.perf_counter(), time.process_time()
    fitted = fit_table(table, options)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    found: dict[str, tuple[str, NDArray[np.float64], float, int | None]] = {}
    for row in fitted.rows:
        name = "average_all" if row.parts.startswith("all ") else row.kind
        if row.test_prediction is not None and name not in found:
            found[name] = row.parts, row.test_prediction, row.seconds * share, row.n_parameters
    for name in PEERS:
        said, seconds = lightgbm(fitted, refit=name.endswith("refit"))
        found[name] = "defaults", said, seconds, None
    target = fitted.prepared.target[fitted.prepared.split.test]
    loss = metrics["log_loss"]

    def over(said: NDArray[np.float64], other: str) -> tuple[float, float, float]:
        gain = paired_gain(loss, target, said, found[other][1], groups=None, seed=options.seed)
        return gain.estimate, gain.low, gain.high

    return [
        Result(
            kind,
            parts,
            {name: score(name, target, said) for name in SCORES},
            over(said, "single"),
            over(said, "lightgbm"),
            seconds,
            parameters,
        )
        for kind, (parts, said, seconds, parameters) in found.items()
    ]


def draw(name: str, seeds: list[list[Result]]) -> str:
    """One table: means over the seeds; an interval is the mean of each seed's ends."""
    by_kind: dict[str, list[Result]] = {}
    for results in seeds:
        for result in results:
            by_kind.setdefault(result.kind, []).append(result)
    lines = [
        f"**{name}**, {len(seeds)} seeds",
        "",
        "| kind | ROC-AUC | AP | log-loss | over the best single | over LightGBM | CPU s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, found in sorted(by_kind.items(), key=lambda item: _mean(item[1], "log_loss")):
        cells = [kind if len(found) == len(seeds) else f"{kind} ({len(found)} of {len(seeds)})"]
        cells += [f"{_mean(found, metric):.4f}" for metric in SCORES]
        cells += [
            _interval([r.over_single for r in found]),
            _interval([r.over_lightgbm for r in found]),
        ]
        cells += [f"{mean(r.cpu_seconds for r in found):.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(found: list[Result], metric: str) -> float:
    return mean(result.scores[metric] for result in found)


def _interval(gains: list[tuple[float, float, float]]) -> str:
    estimate, low, high = (mean(ends) for ends in zip(*gains, strict=True))
    return f"{estimate:+.4f} [{low:+.4f}, {high:+.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("purchases", "clothing", "bank_marketing"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bank", type=Path, default=BANK)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, list[list[Result]]] = {}
    for seed in range(asked.seeds):
        for name, table, options in cases(asked.bank, seed, asked.only):
            with progress.listen(lambda event: None):
                results.setdefault(name, []).append(run(table, options))
            print(f"{name}, seed {seed}: done", flush=True)
            asked.out.write_text(json.dumps(_record(results), indent=1) + "\n", "utf-8")
    print("\n" + "\n\n".join(draw(name, seeds) for name, seeds in results.items()))


def _record(results: dict[str, list[list[Result]]]) -> dict[str, Any]:
    tables = {name: [[vars(r) for r in seed] for seed in seeds] for name, seeds in results.items()}
    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": 1}
    return {"machine": machine, "tables": tables}


if __name__ == "__main__":
    main()

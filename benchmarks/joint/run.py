"""Four members of one start, trained apart, shared and papa: what each scheme makes of them.

    python benchmarks/joint/run.py                    # writes results.json, prints the table
    python benchmarks/joint/run.py --only purchases --seeds 1 --epochs 3

Members share one random start and differ in the order of their rows and in their dropout. All
figures are of the test part, and not calibrated.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn

from alnico import progress
from alnico.data import demo
from alnico.data.batches import Rows
from alnico.data.table import Table, read_table
from alnico.evaluation.metrics import score
from alnico.fitting import Options
from alnico.fitting.members import loss_of, reading
from alnico.fitting.prepare import Prepared, prepare
from alnico.merging import merge_modules
from alnico.networks import Architecture, build
from alnico.probing import read_outputs
from alnico.training import Setting, Together, Training, train

N_MEMBERS = 4
SCHEMES: tuple[Together, ...] = ("apart", "shared", "papa")
BANK = Path(__file__).parents[3] / "shared" / "data" / "bank_marketing" / "bank-full.csv.gz"
MLP = Architecture("mlp", "quantile", depth=2, width=96, dropout=0.1)
BAG = Architecture("text_bag", depth=1, width=64, dropout=0.3)


@dataclass(frozen=True)
class Case:
    """A table, and the networks that are trained on it."""

    name: str
    table: Table
    options: Options
    architecture: Architecture
    rate: float
    epochs: int
    patience: int


def cases(bank: Path, seed: int) -> Iterator[Case]:
    """The demo's two tables, and bank marketing without the column that is known too late."""
    for shop, architecture, rate, epochs, patience in (
        (demo.purchases(), MLP, 2e-3, 40, 6),
        (demo.clothing(), BAG, 5e-3, 8, 2),
    ):
        options = Options(shop.target, seed=seed, drop=shop.drop, time_column=shop.time_column)
        table = read_table(shop.frame, name=shop.name)
        yield Case(shop.name, table, options, architecture, rate, epochs, patience)
    if bank.is_file():
        options = Options("y", seed=seed, drop=("duration",))
        yield Case("bank_marketing", read_table(bank), options, MLP, 2e-3, 40, 6)


@dataclass(frozen=True)
class Figures:
    """What one scheme made of the members; losses are log-losses."""

    table: str
    together: str
    seed: int
    member_loss: float
    member_auc: float
    average_loss: float
    average_auc: float
    ensemble_loss: float
    ensemble_auc: float
    distance: float
    likeness: float
    epochs: float
    best_epoch: float
    seconds: float


def run_case(case: Case, *, seed: int, epochs: int | None) -> Iterator[Figures]:
    """Train by all schemes from one start."""
    prepared = prepare(case.table, case.options)
    inputs, n_outputs = prepared.encoder.inputs, prepared.task.n_outputs
    rows, valid, test = (
        reading(part, case.architecture, inputs)
        for part in (prepared.train, prepared.valid, prepared.open_test())
    )
    start = build(case.architecture, inputs, n_outputs, seed=seed)
    for together in SCHEMES:
        begun = time.process_time()
        done = train(
            [start] * N_MEMBERS,
            rows,
            settings=[
                Setting("adamw", case.rate, 1e-2, seed=seed * N_MEMBERS + member)
                for member in range(N_MEMBERS)
            ],
            loss=loss_of(prepared.task),
            together=together,
            valid=valid,
            epochs=epochs or case.epochs,
            patience=case.patience,
            clip=1.0,
            way="rule",
        )
        seconds = time.process_time() - begun
        yield measure(case, together, seed, done, prepared, test, seconds)


def measure(
    case: Case,
    together: Together,
    seed: int,
    done: Training,
    prepared: Prepared,
    test: Rows,
    seconds: float,
) -> Figures:
    modules = [trained.module for trained in done.members]
    logits = [read_outputs(module, test.inputs).logits for module in modules]
    average = read_outputs(merge_modules(modules), test.inputs).logits
    target = prepared.target[prepared.split.test]

    def of(output: Tensor, metric: str) -> float:
        return score(metric, target, output.double().softmax(-1).numpy())

    ensemble = torch.stack(logits).mean(0)
    return Figures(
        table=case.name,
        together=together,
        seed=seed,
        member_loss=mean(of(output, "log_loss") for output in logits),
        member_auc=mean(of(output, "roc_auc") for output in logits),
        average_loss=of(average, "log_loss"),
        average_auc=of(average, "roc_auc"),
        ensemble_loss=of(ensemble, "log_loss"),
        ensemble_auc=of(ensemble, "roc_auc"),
        distance=mean(distance(one, two) for one, two in combinations(modules, 2)),
        likeness=mean(likeness(one, two) for one, two in combinations(logits, 2)),
        epochs=mean(len(trained.history) for trained in done.members),
        best_epoch=mean(trained.best_epoch for trained in done.members),
        seconds=seconds,
    )


def distance(one: nn.Module, two: nn.Module) -> float:
    """L2 distance of the weights, over the mean of their norms."""
    first, second = (
        torch.cat([p.detach().flatten() for p in module.parameters()]) for module in (one, two)
    )
    return ((first - second).norm() / ((first.norm() + second.norm()) / 2)).item()


def likeness(one: Tensor, two: Tensor) -> float:
    """Correlation of two members' log-odds."""
    return (
        torch.stack([(out[:, 1] - out[:, 0]).double() for out in (one, two)])
        .corrcoef()[0, 1]
        .item()
    )


COLUMNS = {
    "member_loss": "member",
    "average_loss": "average",
    "ensemble_loss": "ensemble",
    "member_auc": "member AUC",
    "average_auc": "average AUC",
    "ensemble_auc": "ensemble AUC",
    "distance": "distance",
    "likeness": "likeness",
    "seconds": "CPU s",
}


def table(results: list[Figures]) -> str:
    """Means over the seeds, as Markdown."""
    lines = [
        f"| table | scheme | {' | '.join(COLUMNS.values())} |",
        "|---|---|" + "---:|" * len(COLUMNS),
    ]
    for name, together in dict.fromkeys((r.table, r.together) for r in results):
        own = [r for r in results if (r.table, r.together) == (name, together)]
        cells = [name, together]
        for column in COLUMNS:
            value = mean(getattr(r, column) for r in own)
            digits = 1 if column == "seconds" else 3 if column in ("distance", "likeness") else 4
            cells.append(f"{value:.{digits}f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, default=BANK, help="bank-full.csv.gz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="one table")
    parser.add_argument("--epochs", type=int, help="at most, for a try")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results.json"))
    asked = parser.parse_args()
    if not asked.bank.is_file():
        print(f"bank_marketing is skipped: there is no file {asked.bank}")
    results = []
    with progress.listen(lambda event: None):
        for seed in range(asked.seeds):
            for case in cases(asked.bank, seed):
                if asked.only in (None, case.name):
                    results += run_case(case, seed=seed, epochs=asked.epochs)
    about = {"torch": torch.__version__, "machine": platform.machine(), "members": N_MEMBERS}
    rows = [asdict(figures) for figures in results]
    asked.output.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()

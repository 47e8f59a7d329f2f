"""How long a table takes from a log of a million purchases, and how much memory.

Each row of the table is a process of its own, so that its peak is its own. Run from anywhere:
`python benchmarks/events/run.py`; it prints the table and writes results.json beside this file.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

CUTOFFS = ("2024-03-01", "2024-05-01", "2024-07-01", "2024-09-01")
CASES = [
    {"what": "library", "events": 1_000_000, "items": False, "text": False, "per": "day"},
    {"what": "library", "events": 1_000_000, "items": True, "text": False, "per": "day"},
    {"what": "library", "events": 1_000_000, "items": True, "text": True, "per": "day"},
    {"what": "library", "events": 1_000_000, "items": True, "text": True, "per": "event"},
    {"what": "command", "events": 1_000_000, "items": True, "text": True, "per": "day"},
]


def synthetic_log(n_events: int, *, items: bool, text: bool):
    """Two years of purchases of a hundred thousand customers, a few of whom buy most."""
    import numpy as np
    import polars as pl

    draw = np.random.default_rng(0)
    start = np.datetime64("2023-01-01", "us")
    seconds = draw.integers(0, 2 * 365 * 86_400, n_events)
    log = pl.DataFrame(
        {
            "customer": (100_000 * draw.random(n_events) ** 2).astype(np.int64),
            "time": start + seconds.astype("timedelta64[s]"),
            "amount": draw.lognormal(3, 1, n_events).round(2),
        }
    )
    if items:
        log = log.with_columns(item=pl.Series(draw.integers(0, 5_000, n_events)))
    if text:  # as a CSV without any types gives them
        log = log.with_columns(
            pl.col("customer", "item").cast(pl.String),
            pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S"),
        )
    return log


def measure_library(case: dict) -> dict:
    """Build one log and one table of it; the peak counts everything, the log and Python too."""
    from alnico.data.events import make_table

    log = synthetic_log(case["events"], items=case["items"], text=case["text"])
    started = time.perf_counter()
    table = make_table(
        log,
        customer="customer",
        timestamp="time",
        amount="amount",
        item="item" if case["items"] else None,
        cutoffs=CUTOFFS,
        per=case["per"],
    )
    return {"rows": table.height, **spent(started)}


def measure_command(case: dict, folder: Path) -> dict:
    """Run `alnico events` on the CSV file in a folder."""
    from alnico.cli.app import main

    columns = ["--customer", "customer", "--timestamp", "time", "--amount", "amount"]
    dates = [word for cutoff in CUTOFFS for word in ("--cutoff", cutoff)]
    files = [str(folder / "log.csv"), "-o", str(folder / "table.parquet")]
    started = time.perf_counter()
    code = main(["events", *files, *columns, "--item", "item", *dates, "--per", case["per"], "-q"])
    assert code == 0
    figures = spent(started)
    import polars as pl

    return {"rows": pl.scan_parquet(files[-1]).select(pl.len()).collect().item(), **figures}


def spent(started: float) -> dict:
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def in_a_process(*words: str) -> str:
    command = [sys.executable, __file__, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", type=int, help="measure this one in this process")
    parser.add_argument("--write", type=int, help="write this one's log to the folder")
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    if chosen.write is not None:
        case = CASES[chosen.write]
        log = synthetic_log(case["events"], items=case["items"], text=case["text"])
        log.write_csv(chosen.folder / "log.csv")
    elif chosen.case is not None:
        case = CASES[chosen.case]
        whole = case["what"] == "command"
        figures = measure_command(case, chosen.folder) if whole else measure_library(case)
        print(json.dumps(figures))
    else:
        measure_all()


def measure_all() -> None:
    results = []
    print("what       events  items  text    per     rows  seconds  peak MB")
    with tempfile.TemporaryDirectory() as folder:
        for i, case in enumerate(CASES):
            if case["what"] == "command":
                in_a_process("--write", str(i), "--folder", folder)
            figures = json.loads(in_a_process("--case", str(i), "--folder", folder))
            results.append({**case, "cutoffs": len(CUTOFFS), **figures})
            print(
                f"{case['what']:8} {case['events']:8} {case['items']!s:>6} {case['text']!s:>5}"
                f" {case['per']:>6} {figures['rows']:8} {figures['seconds']:8.2f}"
                f" {figures['peak_mb']:8}"
            )
    about = {
        "date": datetime.now().date().isoformat(),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "python": platform.python_version(),
        "polars": importlib.metadata.version("polars"),
    }
    path = Path(__file__).with_name("results.json")
    path.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Eight members trained together, beside eight in a loop and beside one: time of an epoch.

    python benchmarks/training/run.py            # three minutes; writes results.json

Every ratio is of times measured in turns in one process, so that whatever else the machine does
hits all alike; the median over the turns is shown.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alnico.data.batches import Rows, epoch_order
from alnico.training import Setting, train

N_MEMBERS = 8
N_ROWS = 8192
N_INPUTS = 40
TURNS = 7
MIX = ("adamw", "adamw", "adam", "adam", "sgd", "sgd", "nadam", "rmsprop")


def network(seed: int) -> nn.Module:
    """33,282 weights."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(N_INPUTS, 128),
        nn.ReLU(),
        nn.Linear(128, 144),
        nn.ReLU(),
        nn.Linear(144, 64),
        nn.ReLU(),
        nn.Linear(64, 2),
    )


def settings(mixed: bool) -> list[Setting]:
    names = MIX if mixed else ("adamw",) * N_MEMBERS
    return [Setting(name, 1e-3, seed=seed) for seed, name in enumerate(names)]


def plain_epoch(rows: Rows, mixed: bool, batch_size: int, n_members: int) -> float:
    """What one writes by hand, one member after the other, with torch's own optimisers."""
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": lambda p: torch.optim.AdamW(p, 1e-3, fused=True),
        "adam": lambda p: torch.optim.Adam(p, 1e-3, fused=True),
        "sgd": lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, nesterov=True, fused=True),
        "nadam": lambda p: torch.optim.NAdam(p, 1e-3),
        "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-3),
    }
    seconds = 0.0
    for seed, setting in enumerate(settings(mixed)[:n_members]):
        model = network(seed).to(rows.target.device)
        optimiser = makers[setting.optimiser](model.parameters())
        generator = torch.Generator().manual_seed(seed)
        for epoch in range(2):  # the first warms up
            begun = now(rows.target)
            for index in epoch_order(len(rows), batch_size, generator):
                own = rows.take(index.to(rows.target.device))
                optimiser.zero_grad()
                F.cross_entropy(model(own.inputs), own.target).backward()
                optimiser.step()
            if epoch == 1:
                seconds += now(rows.target) - begun
    return seconds


def our_epoch(rows: Rows, mixed: bool, batch_size: int, way: str) -> tuple[float, str]:
    """The second epoch of `train`, and why that way."""
    marks: list[float] = []
    done = train(
        [network(seed) for seed in range(N_MEMBERS)],
        rows,
        settings=settings(mixed),
        loss=F.cross_entropy,
        epochs=2,
        batch_size=batch_size,
        schedule="constant",
        averages=False,
        way=way,  # type: ignore[arg-type]
        device=rows.target.device,
        on_epoch=lambda *_: marks.append(now(rows.target)),
    )
    return marks[1] - marks[0], done.why


def now(where: Tensor) -> float:
    if where.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(device: str, threads: int, batch_size: int, mixed: bool) -> dict[str, object]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    inputs = torch.randn(N_ROWS, N_INPUTS)
    rows = Rows(inputs, (inputs[:, 0] > 0).long()).to(device)
    ways = ("loop", "vmap", "stacked", "rule", "auto")
    times: dict[str, list[float]] = {name: [] for name in ("one", "plain", *ways)}
    chosen: list[str] = []
    for _ in range(TURNS):
        times["one"].append(plain_epoch(rows, mixed, batch_size, 1))
        times["plain"].append(plain_epoch(rows, mixed, batch_size, N_MEMBERS))
        for way in ways:
            seconds, why = our_epoch(rows, mixed, batch_size, way)
            times[way].append(seconds)
            if way == "auto":
                chosen.append(why)

    def ratio(over: str, under: str) -> float:
        pairs = zip(times[over], times[under], strict=True)
        return round(median(a / b for a, b in pairs), 2)

    return {
        "device": device,
        "threads": threads,
        "batch": batch_size,
        "optimisers": "mix" if mixed else "adamw",
        "one_seconds": round(median(times["one"]), 4),
        "together_over_one": ratio("auto", "one"),
        "loop_over": {way: ratio("plain", way) for way in ways},
        "auto_chose": sorted(set(chosen), key=chosen.count)[-1],
    }


def table(results: list[dict[str, object]]) -> str:
    ways = ("loop", "vmap", "stacked", "rule", "auto")
    lines = [
        "| device, threads | batch | optimisers | " + " | ".join(ways) + " | auto / one |",
        "|---" * (len(ways) + 4) + "|",
    ]
    for row in results:
        over = row["loop_over"]
        assert isinstance(over, dict)
        cells = [f"{row['device']}, {row['threads']}", row["batch"], row["optimisers"]]
        cells += [f"{over[way]:.2f}" for way in ways] + [f"{row['together_over_one']:.1f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    results = [
        measure(device, threads, batch_size, mixed)
        for device in devices
        for threads in ((1, 2) if device == "cpu" else (1,))
        for batch_size in (256, 1024)
        for mixed in (False, True)
    ]
    about = {"torch": torch.__version__, "machine": platform.machine(), "rows": results}
    Path(__file__).with_name("results.json").write_text(json.dumps(about, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()

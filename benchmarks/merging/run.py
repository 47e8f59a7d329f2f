"""Merge the same models by the same recipes with alnico and with mergekit, and compare the cost.

    python benchmarks/merging/run.py 0.5B FOLDER [--methods linear,ties] [--mergekit COMMAND]

Each merge is a process of its own. Figures are CPU seconds of the whole process (user and system),
wall seconds, and the largest anonymous memory (mapped file pages are not counted), sampled. The
kernels are compiled once before. Of alnico's runs the one with the least CPU time is taken, of
mergekit's the only one. `copy` reads the models and writes one file, by plain reads and writes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from family import make

HERE = Path(__file__).parent
REPEATS = 3
TUNED = ("a", "b", "c")

METHODS: dict[str, tuple[str, bool, str]] = {
    # name: (models, whether the base is given, parameters of every model or of the merge)
    "linear": ("abc", False, "weight: 1.0"),
    "slerp": ("a", True, "t: 0.5"),
    "nuslerp": ("ab", False, "weight: 1.0"),
    "multislerp": ("abc", False, "weight: 1.0"),
    "karcher": ("abc", False, ""),
    "passthrough": ("a", False, ""),
    "task_arithmetic": ("abc", True, "weight: 1.0"),
    "ties": ("abc", True, "weight: 1.0, density: 0.5"),
    "dare_ties": ("abc", True, "weight: 1.0, density: 0.5"),
    "dare_linear": ("abc", True, "weight: 1.0, density: 0.5"),
    "breadcrumbs": ("abc", True, "weight: 1.0, density: 0.9, gamma: 0.01"),
    "breadcrumbs_ties": ("abc", True, "weight: 1.0, density: 0.9, gamma: 0.01"),
    "della": ("abc", True, "weight: 1.0, density: 0.5, epsilon: 0.15"),
    "della_linear": ("abc", True, "weight: 1.0, density: 0.5, epsilon: 0.15"),
    "model_stock": ("abc", True, ""),
    "nearswap": ("a", True, "t: 0.001"),
    "sce": ("abc", True, "select_topk: 0.5"),
    "arcee_fusion": ("a", True, ""),
    "ram": ("abc", True, ""),
    "ramplus_tl": ("abc", True, ""),
}
LEAST = {"linear": 10, "slerp": 15, "dare_linear": 15, "dare_ties": 15, "ties": 25} | dict.fromkeys(
    ("breadcrumbs", "breadcrumbs_ties", "della", "della_linear", "sce"), 20
)


@dataclass
class Cost:
    """What a process took."""

    cpu: float
    wall: float
    anonymous_mb: float


def measure(command: list[str], env: dict[str, str]) -> Cost:
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peak = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            try:
                text = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            found = [line.split()[1] for line in text.splitlines() if line.startswith("RssAnon")]
            peak = max(peak, int(found[0]) if found else 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    over.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{said[-2000:]}")
    wall = time.perf_counter() - start
    return Cost(used.ru_utime + used.ru_stime, wall, peak / 1024)


def recipe(name: str, folder: Path) -> Path:
    models, has_base, parameters = METHODS[name]
    lines = [f"merge_method: {name}", "dtype: bfloat16"]
    if has_base:
        lines.append(f"base_model: {folder / 'base'}")
    listed = [*(["base"] if name in ("slerp", "nearswap", "arcee_fusion") else []), *models]
    lines.append("models:")
    shared = name in ("slerp", "nearswap", "sce")
    for model in listed:
        own = "" if shared or not parameters else f", parameters: {{{parameters}}}"
        lines.append(f"  - {{model: {folder / model}{own}}}")
    if shared:
        lines.append(f"parameters: {{{parameters}}}")
    place = folder / f"{name}.yml"
    place.write_text("\n".join(lines) + "\n")
    return place


def run(name: str, folder: Path, mergekit: str, repeats: int) -> dict[str, object]:
    path = recipe(name, folder)
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    out = folder / "out"
    alnico = [str(Path(sys.executable).with_name("alnico")), "merge", str(path), "-q", "-o"]
    ours = []
    for i in range(repeats + 1):  # the first compiles
        shutil.rmtree(out, ignore_errors=True)
        cost = measure([*alnico, str(out)], env)
        ours += [cost] if i else []
    shutil.rmtree(out, ignore_errors=True)
    theirs = measure([mergekit, str(path), str(out), "--random-seed", "1"], env)
    shutil.rmtree(out, ignore_errors=True)
    best = min(ours, key=lambda cost: cost.cpu)
    row = {"method": name, "alnico": asdict(best), "mergekit": asdict(theirs)}
    row["cpu_ratio"] = theirs.cpu / best.cpu
    row["wall_ratio"] = theirs.wall / min(cost.wall for cost in ours)
    row["asked"] = LEAST.get(name, 1)
    return row


COPY = """
import sys
*inputs, output = sys.argv[1:]
block = bytearray(1 << 20)
with open(output, "wb", 0) as out:
    for i, path in enumerate(inputs):
        with open(path, "rb", 0) as file:
            while n := file.readinto(block):
                if i == 0:
                    out.write(memoryview(block)[:n])
"""


def copy(folder: Path, models: list[str], repeats: int) -> Cost:
    out = folder / "copied"
    files = [str(folder / name / "model.safetensors") for name in models]
    command = [sys.executable, "-c", COPY, *files, str(out)]
    found = min(
        (measure(command, dict(os.environ)) for _ in range(repeats)), key=lambda cost: cost.cpu
    )
    out.unlink()
    return found


def table(found: dict) -> str:
    lines = [
        "| method | alnico CPU s | mergekit CPU s | CPU ratio | asked | wall ratio "
        "| alnico MB | mergekit MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        ours, theirs = row["alnico"], row["mergekit"]
        lines.append(
            f"| {row['method']} | {ours['cpu']:.2f} | {theirs['cpu']:.1f} "
            f"| {row['cpu_ratio']:.1f} | {row['asked']} "
            f"| {row['wall_ratio']:.1f} | {ours['anonymous_mb']:.0f} "
            f"| {theirs['anonymous_mb']:.0f} |"
        )
    for n_models, cost in found["copy"].items():
        lines.append(
            f"| copy, {n_models} models read | {cost['cpu']:.2f} | | | | | "
            f"{cost['anonymous_mb']:.0f} | |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--mergekit", default=str(Path(sys.executable).with_name("mergekit-yaml")))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    if not (asked.folder / "base").exists():
        make(asked.size, asked.folder)
    place = HERE / "results.json"
    kept = json.loads(place.read_text()) if place.exists() else {}
    found = kept.setdefault(asked.size, {"rows": [], "copy": {}})
    for names in (list(TUNED), [*TUNED, "base"]):
        found["copy"][str(len(names))] = asdict(copy(asked.folder, names, asked.repeats))
    for name in asked.methods.split(","):
        row = run(name, asked.folder, asked.mergekit, asked.repeats)
        found["rows"] = [old for old in found["rows"] if old["method"] != name] + [row]
        print(f"{name}: {row['cpu_ratio']:.1f} of {row['asked']} asked", flush=True)
        found["machine"] = {"cores": os.cpu_count(), "system": platform.platform(terse=True)}
        found["versions"] = {p: version(p) for p in ("alnico", "mergekit", "torch", "numba")}
        place.write_text(json.dumps(kept, indent=1) + "\n")
    order = list(METHODS)
    found["rows"].sort(key=lambda row: order.index(row["method"]))
    place.write_text(json.dumps(kept, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()

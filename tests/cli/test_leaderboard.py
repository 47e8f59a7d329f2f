from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

WIDTH = 84
TITLES = ["#", "kind", "params", "valid", "test", "gain", "95 % interval", "fit s", "us/row"]


def test_it_shows_the_best_row_of_each_kind_in_order(command: Callable, finished: Path) -> None:
    done = command("leaderboard", finished)
    title, rule, *lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert re.split("  +", title.strip()) == TITLES
    assert set(rule) == {"─"} and max(map(len, done.out.splitlines())) <= WIDTH
    shown = [line for line in lines if re.match(r" *\d+  ", line)]
    numbers = [int(line.split()[0]) for line in shown]
    assert numbers == sorted(numbers)
    kinds = [re.split(r"  +", line.strip())[1] for line in shown]
    assert len(set(kinds)) == len(kinds) and {"linear", "single mlp", "attention"} <= set(kinds)
    assert any("gain: on the test part, over the best single network" in line for line in lines)


def test_all_shows_every_row_and_json_every_figure(command: Callable, finished: Path) -> None:
    record = json.loads((finished / "run.json").read_text("utf-8"))
    done = command("leaderboard", finished, "--json")
    assert json.loads(done.out) == {"metric": "log_loss", "rows": record["rows"]}
    out = command("leaderboard", finished, "--all").out
    n_live = sum(row["skipped"] is None for row in record["rows"])
    assert len(re.findall(r"^ *\d+  ", out, flags=re.MULTILINE)) == n_live
    for row in record["rows"]:
        assert f"{row['test']:.4f}" in out
    assert max(map(len, out.splitlines())) <= WIDTH


def test_it_needs_the_record_alone(command: Callable, run: Path) -> None:
    expected = command("leaderboard", run).out
    (run / "members.safetensors").unlink()
    (run / "predictions.safetensors").unlink()
    assert command("leaderboard", run).out == expected

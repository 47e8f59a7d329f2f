from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from sklearn import metrics

import alnico
from alnico.evaluation.metrics import Metric
from alnico.fitting.predicts import Predicts
from alnico.fitting.rows import Row

WIDTH = 84
TIMES = ("fit_seconds", "microseconds_a_row")
APART = ("--together", "apart")


def record_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text("utf-8"))


def scores_of(run: Path) -> list[dict]:
    """The rows of a leaderboard without what the clock says."""
    return [{k: v for k, v in row.items() if k not in TIMES} for row in record_of(run)["rows"]]


def test_a_run_with_a_seed_repeats_itself_exactly_whatever_the_file_is_like(
    fit: Callable, table: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    text = table.read_text()
    (tmp_path / "shop.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "shop.csv.gz").write_bytes(gzip.compress(text.encode()))
    since = pl.col("since").str.to_datetime("%Y-%m-%dT%H:%M")
    frame.with_columns(since).write_parquet(tmp_path / "shop.parquet")
    runs = []
    for source in (table, table, *sorted(tmp_path.glob("shop.*"))):
        runs.append(tmp_path / f"run{len(runs)}")
        assert fit("-o", runs[-1], "-q", source=source).code == 0
    expected = scores_of(runs[0])
    assert {row["kind"] for row in expected} == {"linear", "single", "soup_uniform"}
    for run in runs[1:]:
        assert scores_of(run) == expected
        for name in ("model", "members", "predictions"):
            written, again = (place / f"{name}.safetensors" for place in (runs[0], run))
            assert written.read_bytes() == again.read_bytes()


def test_another_seed_is_another_run(fit: Callable, finished: Path, tmp_path: Path) -> None:
    assert fit("-o", tmp_path / "run", "--seed", 1, "-q").code == 0
    here, there = (
        load_file(run / "predictions.safetensors") for run in (finished, tmp_path / "run")
    )
    assert not np.array_equal(here["test.index"], there["test.index"])


def test_stdout_has_the_table_alone_and_stderr_tells_the_rest(
    fit: Callable, command: Callable, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = fit("-o", run)
    assert done.code == 0
    assert done.out == command("leaderboard", run).out
    phases = re.findall(r"^  ([a-z]+) ", done.err, flags=re.MULTILINE)
    assert phases[:5] == ["table", "target", "split", "encode", "train"]
    assert phases[5:9] == ["train", "train", "fuse", "test"]
    trained = re.findall(r"^  train +(.*?)  best", done.err, flags=re.MULTILINE)
    assert trained == ["mlp x5", "mlp x4 shared", "mlp x4 papa"]
    assert "240 rows, 2 numbers, 1 category, 1 boolean, 1 date-time" in done.err
    assert re.search(r"Fusing (paid|did not pay)", done.err)
    why = record_of(run)["predicts"]["why"]
    assert why in " ".join(done.err.split()) and why.startswith("Row 1, ")
    assert done.err.splitlines()[-4:] == [
        f"{run} holds the model.  Next:",
        f"  alnico report {run}",
        f"  alnico predict {run} new.csv -o out.csv",
        f"  alnico leaderboard {run} --all",
    ]
    told = [line for line in done.err.splitlines() if str(run) not in line]
    assert max(map(len, [*told, *done.out.splitlines()])) <= WIDTH
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_quiet_shows_the_table_alone_and_json_every_figure(fit: Callable, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = fit("-o", run, "--json", "-q")
    assert done.err == ""
    found = json.loads(done.out)
    kept = record_of(run)
    assert found["metric"] == kept["metric"] == "log_loss"
    own = ("networks", "structure", "leaning")
    assert found["rows"] == [{k: v for k, v in row.items() if k not in own} for row in kept["rows"]]


def test_a_run_that_is_there_is_replaced_when_forced(fit: Callable, run: Path) -> None:
    (run / "note.txt").write_text("mine")
    assert fit("-o", run, "--force", "-q", "--seed", 3).code == 0
    assert record_of(run)["seed"] == 3
    assert sorted(path.name for path in run.parent.iterdir()) == ["run"]
    names = {"run.json", "model.safetensors", "members.safetensors", "predictions.safetensors"}
    assert {path.name for path in run.iterdir()} == names


def test_a_run_folder_holds_no_pickle_and_says_what_made_it(finished: Path, table: Path) -> None:
    record = record_of(finished)
    for name, said in record["files"].items():
        content = (finished / name).read_bytes()
        header = int.from_bytes(content[:8], "little")
        assert json.loads(content[8 : 8 + header])
        assert said == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert set(record["files"]) == {p.name for p in finished.iterdir()} - {"run.json"}
    assert record["table"]["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert {"alnico", "torch"} <= set(record["versions"]) and record["seed"] == 0
    assert [c["name"] for c in record["encoder"]["schema"]["columns"]] == [
        *("visits", "spent", "country", "member", "since")
    ]


def test_the_linear_model_and_the_refit_are_always_there(finished: Path) -> None:
    rows = {row["kind"]: row for row in record_of(finished)["rows"]}
    assert rows["linear"]["parts"] == "logistic regression"
    refit = rows["single_refit"]
    best = next(row for row in record_of(finished)["rows"] if row["kind"] == "single")
    assert refit["parts"] == best["parts"] and refit["valid"] is None
    assert best["gain"] == best["gain_low"] == best["gain_high"] == 0
    for row in rows.values():
        assert row["gain"] == pytest.approx(best["test"] - row["test"], abs=1e-9)
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]


TARGETS = {
    "three classes": (
        pl.format("c{}", pl.col("visits").clip(3, 5)),
        "multiclass",
        ["c3", "c4", "c5"],
    ),
    "counts": (pl.col("visits").clip(3, 5), "multiclass", [3, 4, 5]),
    "a number": (pl.col("visits") + pl.col("member") * 0.5, "regression", []),
    "a huge number": ((pl.col("visits") + pl.col("member") * 0.5) * 1e30, "regression", []),
    "booleans": (pl.col("visits") > 4, "binary", [False, True]),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_task_follows_from_the_target(
    name: str, fit: Callable, command: Callable, frame: pl.DataFrame, tmp_path: Path
) -> None:
    expression, kind, classes = TARGETS[name]
    table, run, out = (tmp_path / name for name in ("t.csv", "run", "out.csv"))
    frame.with_columns(buys=expression).write_csv(table)
    assert fit("-o", run, *APART, "-q", source=table).code == 0
    task = record_of(run)["task"]
    assert (task["kind"], task["classes"]) == (kind, classes)
    assert command("predict", run, table, "-o", out).code == 0
    made, target = pl.read_csv(out), pl.read_csv(table)["buys"]
    if kind == "regression":
        assert made.columns == ["prediction"] and record_of(run)["metric"] == "rmse"
        index = load_file(run / "predictions.safetensors")["test.index"]
        rmse = metrics.root_mean_squared_error(target[index], made["prediction"][index])
        assert rmse == pytest.approx(record_of(run)["rows"][0]["test"], rel=1e-5)
        assert rmse < target.std()
    else:
        written = [str(label).lower() for label in classes]
        assert made["prediction"].cast(pl.String).is_in(written).all()
        assert [c.lower() for c in made.columns[1:]] == [f"probability_{c}" for c in written]
        assert (made["prediction"] == target).mean() > target.value_counts()["count"].max() / 240


def test_the_positive_class_and_the_metric_may_be_chosen(
    fit: Callable, frame: pl.DataFrame, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert fit("-o", run, *APART, "--positive", "no", "--metric", "roc_auc", "-q").code == 0
    record = record_of(run)
    assert record["task"]["classes"] == ["yes", "no"] and record["metric"] == "roc_auc"
    scores = [row["valid"] for row in record["rows"]]
    assert scores == sorted(scores, reverse=True)
    kept = load_file(run / "predictions.safetensors")
    auc = metrics.roc_auc_score(kept["valid.target"], kept["valid.row.1"][:, 1])
    assert auc == pytest.approx(scores[0], abs=1e-9)


def parts_of(run: Path) -> tuple[set[int], set[int], set[int]]:
    """The rows of training, as far as no other part has them, validation and test."""
    kept = load_file(run / "predictions.safetensors")
    valid, test = (set(kept[f"{part}.index"].tolist()) for part in ("valid", "test"))
    return set(range(record_of(run)["table"]["rows"])) - valid - test, valid, test


def test_rows_of_a_group_stay_in_one_part(
    fit: Callable, frame: pl.DataFrame, tmp_path: Path
) -> None:
    table, run = tmp_path / "t.csv", tmp_path / "run"
    customer = np.arange(frame.height) // 3
    frame.with_columns(customer=pl.Series(customer)).write_csv(table)
    assert fit("-o", run, *APART, "--group", "customer", "-q", source=table).code == 0
    groups = [set(customer[list(part)]) for part in parts_of(run)]
    assert all(groups) and not groups[0] & groups[1] and not (groups[0] | groups[1]) & groups[2]


def test_the_latest_rows_test_and_windows_do_not_reach_into_them(
    fit: Callable, frame: pl.DataFrame, tmp_path: Path
) -> None:
    table, run = tmp_path / "t.csv", tmp_path / "run"
    month = np.arange(frame.height) % 10 + 1
    cutoff = pl.Series([f"2024-{m:02}-01" for m in month])
    end = pl.Series([f"2024-{m + 2:02}-01" for m in month])
    frame.drop("since").with_columns(cutoff=cutoff, until=end).write_csv(table)
    words = ("--time-column", "cutoff", "--window-end", "until")
    done = fit("-o", run, *APART, *words, source=table)
    assert done.code == 0, done.err
    _, valid, test = parts_of(run)
    assert {int(m) for m in month[list(test)]} == {9, 10}
    assert {int(m) for m in month[list(valid)]} == {7}  # a window from 8 would end in 10
    assert "left out 24 validation rows with windows into the test" in " ".join(done.err.split())
    names = [column["name"] for column in record_of(run)["encoder"]["schema"]["columns"]]
    assert names == ["visits", "spent", "country", "member"]


def test_columns_are_read_as_asked(fit: Callable, frame: pl.DataFrame, tmp_path: Path) -> None:
    table, run = tmp_path / "t.csv", tmp_path / "run"
    nothing = pl.lit(None, pl.String)
    frame.with_columns(code=pl.col("visits") + 100, nothing=nothing).write_csv(table)
    words = ("--text", "country", "--category", "code", "--drop", "spent", "--drop", "since")
    done = fit("-o", run, *APART, *words, source=table)
    assert done.code == 0, done.err
    schema = record_of(run)["encoder"]["schema"]
    found = {column["name"]: column["type"] for column in schema["columns"]}
    assert found == {"visits": "number", "country": "text", "member": "boolean", "code": "category"}
    assert {d["name"]: d["why"] for d in schema["dropped"]}["nothing"] == "all missing"
    told = " ".join(done.err.split())
    assert "dropped: spent (as asked), since (as asked), nothing (all missing)" in told


def test_a_table_of_categories_alone_is_fitted(
    fit: Callable, frame: pl.DataFrame, tmp_path: Path
) -> None:
    table, run = tmp_path / "t.csv", tmp_path / "run"
    frame.select("country", "member", "buys").write_csv(table)
    assert fit("-o", run, *APART, "-q", source=table).code == 0
    assert alnico.load(run).predict_proba(table).shape == (240, 2)


def test_a_few_words_among_numbers_and_a_giveaway_are_warned_of(
    fit: Callable, frame: pl.DataFrame, tmp_path: Path
) -> None:
    table, run = tmp_path / "t.csv", tmp_path / "run"
    visits = pl.when(pl.int_range(240) == 7).then(pl.lit("many")).otherwise(pl.col("visits"))
    paid = (pl.col("buys") == "yes") * 12.5
    frame.with_columns(visits=visits, paid=paid).write_csv(table)
    done = fit("-o", run, *APART, source=table)
    assert done.code == 0
    assert "1 of 240 values of 'visits' are not numbers, e.g. 'many' in row 8" in done.err
    assert "column 'paid' gives 'buys' away by itself" in done.err and "--drop 'paid'" in done.err


def test_a_search_trains_the_families_that_were_asked_for(
    fit: Callable, command: Callable, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("--trials", 2, "--together", "papa", "--kind", "average", "--kind", "papa")
    done = fit("-o", run, *words)
    assert done.code == 0, done.err
    assert "  train    mlp x4 papa  best validation loss" in done.err
    assert re.search(r"^  search   2 families, best loss 0\.\d{4}$", done.err, flags=re.MULTILINE)
    assert re.search(r"^  search   4 fusions, best loss 0\.\d{4}$", done.err, flags=re.MULTILINE)
    record = record_of(run)
    assert [g["name"] for g in record["groups"]] == ["mlp-0", "mlp-1", "mlp-2"]
    assert {member["together"] for member in record["members"]} == {"papa"}
    families = [t for t in record["study"]["trials"] if t["what"] == "family"]
    assert [t["number"] for t in families] == [0, 1]
    assert all(re.fullmatch(r"mlp \d+ x [123], papa", t["name"]) for t in families)
    assert record["options"]["trials"] == 2
    kinds = {row["kind"] for row in record["rows"]}
    assert kinds == {"linear", "single", "soup_uniform", "average", "papa"}
    skipped = {row["kind"]: row["skipped"] for row in record["rows"] if row["skipped"]}
    assert skipped == {"soup_uniform": "needs members of one start"}


def test_without_trials_or_a_time_limit_nothing_is_searched(finished: Path) -> None:
    record = record_of(finished)
    assert record["study"] is None and record["options"]["trials"] is None
    assert [group["name"] for group in record["groups"]] == ["mlp-0", "mlp-1", "mlp-2"]


def test_members_of_an_earlier_run_join_in(
    fit: Callable, command: Callable, finished: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    table, run = tmp_path / "next.csv", tmp_path / "run"
    frame.with_columns(spent=pl.col("spent") + 1.25).sample(fraction=0.9, seed=1).write_csv(table)
    words = ("--start-from", finished, *APART)
    done = fit("-o", run, *words, source=table)
    assert done.code == 0, done.err
    assert f"13 members of {finished}, and its encodings" in " ".join(done.err.split())
    record, before = record_of(run), record_of(finished)
    assert record["encoder"] == before["encoder"] and record["task"] == before["task"]
    names = [member["name"] for member in record["members"]]
    assert [f"{member['name']} (earlier)" for member in before["members"]] == names[:13]
    assert names[13:] == [f"mlp-0.{i}" for i in range(5)]
    assert command("predict", run, table, "-o", tmp_path / "out.csv").code == 0


def test_the_row_that_is_chosen_predicts_and_the_closing_lines_say_why(
    fit: Callable, command: Callable, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "The distilled network predicts, for it is small enough to be read aloud " + "twice " * 9

    def choose(rows: Sequence[Row], metric: Metric) -> Predicts:
        return Predicts([row.kind for row in rows].index("distilled") + 1, why.strip())

    monkeypatch.setattr("alnico.fitting.fit.choose_row", choose)
    run, out = tmp_path / "run", tmp_path / "out.csv"
    words = ("--kind", "average", "--kind", "distilled", *APART, "--drop", "since")
    done = fit("-o", run, *words)
    assert done.code == 0, done.err
    verdict, chosen = done.err[done.err.index("Fusing ") : done.err.index(f"{run} holds")].split(
        "The distilled"
    )
    assert " ".join(f"The distilled {chosen}".split()) == why.strip()
    assert verdict.endswith("\n") and max(map(len, chosen.splitlines())) <= WIDTH
    record = record_of(run)
    row = record["rows"][record["predicts"]["row"] - 1]
    assert row["kind"] == "distilled" and record["predicts"]["why"] == why.strip()
    assert command("predict", run, table, "-o", out).code == 0
    kept = load_file(run / "predictions.safetensors")
    said = pl.read_csv(out)["probability_yes"].to_numpy()[kept["test.index"]]
    np.testing.assert_allclose(said, kept[f"test.row.{row['row']}"][:, 1], atol=1e-6)


@pytest.mark.slow
def test_a_table_of_ten_thousand_columns_is_fitted_within_its_time(
    fit: Callable, tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    numbers = draw.normal(size=(100, 10_000)).round(3)
    table, run = tmp_path / "wide.csv", tmp_path / "run"
    frame = pl.DataFrame(numbers, schema=[f"c{i}" for i in range(10_000)])
    frame.with_columns(buys=pl.Series(numbers[:, 0] > 0)).write_csv(table)
    done = fit("-o", run, "--time-limit", "20s", source=table)
    assert done.code == 0, done.err
    assert "100 rows, 10000 numbers" in done.err
    assert record_of(run)["seconds"] < 30


@pytest.mark.parametrize("code", ["import alnico", "main(['--help'])", "main(['fit', '--help'])"])
def test_neither_help_nor_the_import_loads_anything_heavy(code: str) -> None:
    heavy = {"torch", "sklearn", "polars", "scipy", "numpy", "pandas"}
    start = "" if code == "import alnico" else "from alnico.cli.app import main\n"
    check = f"{start}{code}\nimport sys\nassert not {heavy} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

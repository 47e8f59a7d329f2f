"""A fit that is stopped: by Ctrl-C, by a fault, by force; and how it goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.numpy import load_file

from alnico.cli.app import main
from alnico.fitting import fit as fitting
from alnico.fitting import train as training

TRAIN = (
    *("--architecture", "mlp", "--architecture", "resnet"),
    *("--kind", "average", "--together", "apart"),
)
SEARCH = ("--architecture", "mlp", "--kind", "average", "--trials", "3")
TIMES = ("fit_seconds", "microseconds_a_row")

START = (sys.executable, "-c", "import sys; from alnico.cli.app import main; sys.exit(main())")
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}  # others are at work on this machine


def record_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text("utf-8"))


def scores_of(run: Path) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in record_of(run)["rows"]]


def stop_at(patch: pytest.MonkeyPatch, name: str, call: int, error: BaseException) -> list[object]:
    """Let a function of the fit fail at its n-th call; gives the list of its calls."""
    calls: list[object] = []
    module = training if name == "train_group" else fitting
    function = getattr(module, name)

    def stopping(*args: object, **words: object) -> object:
        calls.append(args)
        if len(calls) == call:
            raise error
        return function(*args, **words)

    patch.setattr(module, name, stopping)
    return calls


@pytest.fixture(scope="module")
def whole(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the run is when nothing stops it."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(["fit", str(table), "--target", "buys", "-o", str(run), "-q", *TRAIN]) == 0
    return run


@pytest.fixture(scope="module")
def halves(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `run` and `run.partial`, as Ctrl-C left them in the second group."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("halves")
    words = ["fit", str(table), "--target", "buys", "-o", str(folder / "run"), "-q", *TRAIN]
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, "train_group", 2, KeyboardInterrupt())
        assert main(words) == 130
    return folder


@pytest.fixture
def stopped(halves: Path, tmp_path: Path) -> Path:
    """The run folder of a copy of it."""
    for path in halves.iterdir():
        shutil.copytree(path, tmp_path / path.name)
    return tmp_path / "run"


def test_ctrl_c_keeps_the_best_so_far_and_says_how_to_go_on(
    command: Callable, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    stop_at(monkeypatch, "train_group", 2, KeyboardInterrupt())
    done = command("fit", table, "--target", "buys", "-o", run, *TRAIN)
    assert done.code == 130
    assert "interrupted: " in done.err and "the test part is still shut" in done.err
    assert done.err.splitlines()[-1] == f"Go on:  alnico fit {table} -o {run} --resume"
    assert "log_loss on the validation part; the test part is still shut" in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.partial"]
    out = tmp_path / "out.csv"
    assert command("predict", run, table, "-o", out).code == 0
    assert pl.read_csv(out).height == 240
    assert command("leaderboard", run, "--json").code == command("evaluate", run, table).code == 0


def test_the_test_part_stays_shut_in_an_interrupted_run(stopped: Path) -> None:
    record = record_of(stopped)
    assert (record["status"], record["test_opened"], record["verdict"]) == (
        *("interrupted", False),
        None,
    )
    for row in record["rows"]:
        assert row["test"] is row["gain"] is row["gain_low"] is None and row["test_scores"] == {}
    kept = load_file(stopped / "predictions.safetensors")
    assert {name.split(".")[0] for name in kept} == {"train", "valid"}


def test_an_interrupt_while_the_test_part_is_scored_shuts_it_again(
    fit: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, "verdict", 1, KeyboardInterrupt())
    assert fit("-o", tmp_path / "run").code == 130
    test_the_test_part_stays_shut_in_an_interrupted_run(tmp_path / "run")


@pytest.mark.parametrize("also_the_run", [True, False], ids=["Ctrl-C", "kill -9"])
def test_a_resumed_run_ends_as_if_it_had_not_been_stopped(
    also_the_run: bool,
    command: Callable,
    stopped: Path,
    whole: Path,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not also_the_run:
        shutil.rmtree(stopped)
    calls = stop_at(monkeypatch, "train_group", 0, AssertionError())
    done = command("fit", table, "-o", stopped, "--resume", "-q")
    assert (done.code, done.err, len(calls)) == (0, "", 1)  # the first group was kept
    assert scores_of(stopped) == scores_of(whole)
    for name in ("model", "members", "predictions"):
        here, there = (place / f"{name}.safetensors" for place in (stopped, whole))
        assert here.read_bytes() == there.read_bytes()
    assert record_of(stopped)["status"] == "complete"
    assert [path.name for path in stopped.parent.iterdir()] == ["run"]


def trials_of(run: Path) -> list[dict]:
    """Every trial of a run's searches, without what the clock says."""
    trials = record_of(run)["study"]["trials"]
    return [{k: v for k, v in trial.items() if k != "seconds"} for trial in trials]


@pytest.fixture(scope="module")
def searched(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run with a search is when nothing stops it."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("searched") / "run"
    assert main(["fit", str(table), "--target", "buys", "-o", str(run), "-q", *SEARCH]) == 0
    assert {trial["what"] for trial in trials_of(run)} == {"family", "fusion"}
    return run


def same_search(run: Path, whole: Path) -> None:
    """See that a run ended as one did that nothing stopped."""
    assert scores_of(run) == scores_of(whole) and trials_of(run) == trials_of(whole)
    for name in ("model", "members", "predictions"):
        here, there = (place / f"{name}.safetensors" for place in (run, whole))
        assert here.read_bytes() == there.read_bytes()
    assert [path.name for path in run.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("at", [4, 6], ids=["first trial", "last trial"])
def test_a_search_that_was_stopped_goes_on_where_it_was(
    at: int,
    command: Callable,
    searched: Path,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_at(patch, "train_group", at, KeyboardInterrupt())
        assert command("fit", table, "--target", "buys", "-o", run, *SEARCH).code == 130
    assert record_of(run)["status"] == "interrupted"
    calls = stop_at(monkeypatch, "train_group", 0, AssertionError())
    done = command("fit", table, "-o", run, "--resume", "-q")
    assert (done.code, done.err, len(calls)) == (0, "", 7 - at)  # three groups, three families
    same_search(run, searched)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_a_search_that_was_killed_goes_on_where_it_was(
    command: Callable, searched: Path, table: Path, tmp_path: Path
) -> None:
    run, partial = tmp_path / "run", tmp_path / "run.partial"
    words = [*START, "fit", str(table), "--target", "buys", "-o", str(run), *SEARCH]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, env=ONE_THREAD) as process:
        until = time.monotonic() + 60
        while not (partial / "family.study.json").is_file():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL and not run.exists()
    done = command("fit", table, "-o", run, "--resume", "-q")
    assert (done.code, done.err) == (0, "")
    same_search(run, searched)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_a_run_that_another_process_is_at_is_left_alone(
    refused: Callable, table: Path, tmp_path: Path
) -> None:
    run, lock = tmp_path / "run", tmp_path / "run.partial" / "lock"
    words = [*START, "fit", str(table), "--target", "buys", "-o", str(run), *SEARCH]
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=ONE_THREAD) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith(b"  train "):
                    break
            process.send_signal(signal.SIGSTOP)
            held = "is held by another process, which searches and trains there\n  help: wait until"
            assert held in refused("fit", table, "-o", run, "--resume")
            forced = ("fit", table, "--target", "buys", "-o", run, "--force")
            assert held in refused(*forced)
            assert lock.is_file()
        finally:
            process.kill()


def test_a_run_goes_on_only_with_its_own_table_and_options(
    refused: Callable, stopped: Path, table: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    resume = ("-o", stopped, "--resume")
    message = refused("fit", table, "--target", "member", *resume)
    assert "this run began with target 'buys', not 'member'\n  help: go on without" in message
    message = refused("fit", table, "--drop", "spent", *resume)
    assert "this run began with drop (), not ('spent',)" in message
    frame.head(200).write_csv(tmp_path / "other.csv")
    message = refused("fit", tmp_path / "other.csv", *resume)
    assert "the table is not the one that this run began with" in message
    assert "give the same table, or start a new run" in message


def test_an_unfinished_run_is_not_overwritten_unless_forced(
    refused: Callable, fit: Callable, stopped: Path, table: Path
) -> None:
    shutil.rmtree(stopped)
    message = refused("fit", table, "--target", "buys", "-o", stopped)
    assert "run.partial is there already: a run that is not finished" in message
    assert "go on with --resume, choose another -o, or --force to start anew" in message
    words = ("--architecture", "text_gru", "--force")
    refused("fit", table, "--target", "buys", "-o", stopped, *words)  # and it is still there
    assert fit("-o", stopped, "--force", "-q").code == 0
    assert [path.name for path in stopped.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"digest": "", "options": {"aim": 1}}'])
def test_what_is_kept_of_an_unfinished_run_is_not_trusted(
    text: str, refused: Callable, stopped: Path, table: Path
) -> None:
    (stopped.with_name("run.partial") / "asked.json").write_text(text)
    message = refused("fit", table, "-o", stopped, "--resume")
    assert "asked.json is damaged" in message and "start it anew with --force" in message


@pytest.mark.parametrize("name", ["mlp-0.safetensors", "mlp-0.json"])
def test_a_group_that_was_not_kept_whole_is_trained_again(
    name: str, command: Callable, stopped: Path, whole: Path, table: Path
) -> None:
    (stopped.with_name("run.partial") / "mlp-0.json").unlink()
    (stopped.with_name("run.partial") / name).unlink(missing_ok=True)
    assert command("fit", table, "-o", stopped, "--resume", "-q").code == 0
    assert scores_of(stopped) == scores_of(whole)


def test_an_interrupt_before_a_member_is_trained_leaves_nothing(
    fit: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, "train_group", 1, KeyboardInterrupt())
    done = fit("-o", tmp_path / "run")
    assert done.code == 130 and done.err.endswith("interrupted\n") and done.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_fault_after_the_training_does_not_lose_it(
    fit: Callable,
    command: Callable,
    table: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("reports")))
        stop_at(patch, "verdict", 1, ZeroDivisionError("a fault"))
        done = fit("-o", run)
    assert done.code == 1 and "error[fault]: ZeroDivisionError: a fault" in done.err
    assert f"What was trained is kept.  Go on:  alnico fit {table} -o {run} --resume" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial"]
    calls = stop_at(monkeypatch, "train_group", 0, AssertionError())
    assert command("fit", table, "-o", run, "--resume").code == 0 and calls == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_a_real_interrupt_ends_in_a_run_that_predicts(
    command: Callable, table: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = [*START, "fit", str(table), "--target", "buys", "-o", str(run), "--time-limit", "60s"]
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=ONE_THREAD
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b"  train "):
                break
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=25)
        except subprocess.TimeoutExpired:  # Python drops an interrupt that meets a finaliser
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=25)
    assert process.returncode == 130, err.decode()
    assert b"Go on:  alnico fit" in err and b"still shut" in out
    test_the_test_part_stays_shut_in_an_interrupted_run(run)
    assert command("predict", run, table, "-o", tmp_path / "out.csv").code == 0

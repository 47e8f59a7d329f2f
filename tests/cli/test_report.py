from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def test_a_report_is_written_into_the_run_folder(command: Callable, run: Path) -> None:
    done = command("report", run)
    page = run / "report.html"
    assert (done.code, done.out) == (0, f"{page}\n")
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n")
    assert 'id="leaderboard"' in text and page.stat().st_size < 8e6
    assert "report" in done.err and command("leaderboard", run).code == 0


def test_another_place_can_be_given_and_is_replaced_by_force_alone(
    command: Callable, refused: Callable, run: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert "is there already" in refused("report", run, "-o", page)
    done = command("report", run, "-o", page, "--force", "--quiet")
    assert (done.code, done.err, done.out) == (0, "", f"{page}\n")
    assert page.stat().st_size > 10**6 and not (run / "report.html").exists()


def test_what_is_no_run_is_refused(refused: Callable, tmp_path: Path, run: Path) -> None:
    assert "is not there" in refused("report", tmp_path / "none")
    assert "is a file of the run itself" in refused("report", run, "-o", run / "run.json")
    with (run / "predictions.safetensors").open("ab") as file:
        file.write(b"x")
    assert "was changed after it was written" in refused("report", run)

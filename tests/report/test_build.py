"""The whole page: that it is sound, loads nothing, and runs nothing but its own."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import plotly.offline
import pytest

from alnico.errors import MissingExtraError, OutputError, RunFolderError
from alnico.report import page, write_report
from alnico.runs import read_run

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&"
SECTIONS = ["leaderboard", "cost", "quality", "learning", "search", "leaning", "data", "origin"]


@pytest.fixture(autouse=True)
def _small_plotly(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    # the library is 5 MB of text, which a parser in Python reads for seconds; one test keeps it
    if "whole" not in request.node.name:
        monkeypatch.setattr(plotly.offline, "get_plotlyjs", lambda: "var Plotly;")


def painted(value: Any, key: str = "") -> Any:
    """Chart data with a colour in place of each of the style sheet's names, as the page does it."""
    if isinstance(value, dict):
        return {k: painted(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [painted(v, key) for v in value]
    is_colour = key.endswith("color") and str(value).startswith("--")
    return "#123456" if is_colour else value


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_page_is_sound_for_every_task_finished_or_not(
    make_run: Callable, read_page: type, kind: str, is_open: bool
) -> None:
    found = read_page(page(read_run(make_run(kind, is_open=is_open))))
    sections = [attributes["id"] for attributes in found.named("section")]
    expected = [*SECTIONS[:3], *(["calibration"] if kind != "regression" else []), *SECTIONS[3:]]
    assert sections == expected
    assert [place["id"] for place in found.named("div") if place.get("class") == "chart"] == list(
        found.charts
    )
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert ("the test part is still shut" in found.text) != is_open
    assert ("cost-microseconds" in found.charts) == is_open


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_plotly_knows_all_that_charts_ask_for(
    make_run: Callable, read_page: type, kind: str
) -> None:
    found = read_page(page(read_run(make_run(kind))))
    for chart in found.charts.values():
        figure = go.Figure(painted(chart))
        assert len(figure.data) == len(chart["data"]) > 0
        titles = [axis["title"]["text"] for name, axis in chart["layout"].items() if "axis" in name]
        assert any(titles)


def test_every_colour_of_a_chart_is_in_the_style_sheet_light_and_dark(
    make_run: Callable, read_page: type
) -> None:
    text = page(read_run(make_run()))
    used = set(re.findall(r'color":"(--[a-z0-9]+)"', text))
    assert len(used) >= 4
    for name in used:
        assert len(re.findall(rf"{name}: #", text)) == 2


def test_nothing_from_a_run_can_run(make_run: Callable, read_page: type) -> None:
    def spoil(record: dict[str, Any]) -> None:
        record["options"]["target"] = record["table"]["source"] = record["split"]["how"] = EVIL
        record["task"]["classes"] = [EVIL, EVIL + "2"]
        record["encoder"]["schema"]["columns"][0]["name"] = EVIL
        record["leaks"][0]["column"] = record["predicts"]["why"] = EVIL
        record["verdict"]["text"] = record["versions"][EVIL] = EVIL
        record["networks"][0]["name"] = record["members"][0]["name"] = EVIL
        record["members"][0]["stopped"] = EVIL
        record["study"]["objective"] = EVIL
        for row in record["rows"]:
            row["parts"] = EVIL
            row["leaning"] = row.get("leaning") and [{"member": EVIL, "share": 1.0}]
        record["rows"][0]["kind"] = record["rows"][-1]["skipped"] = EVIL
        for trial in record["study"]["trials"]:
            trial["name"] = EVIL
            trial["params"] = {EVIL: EVIL}
            trial["why"] = trial["why"] and EVIL

    text = page(read_run(make_run(change=spoil)))
    found = read_page(text)
    assert len(found.scripts) == 2 and found.scripts[0] == "var Plotly;"
    assert not found.named("img") and "alert" not in "".join(found.scripts)
    assert all(not name.startswith("on") for _, a in found.elements for name in a)
    assert EVIL in found.text
    for chart in found.charts.values():
        for trace in chart["data"]:
            trace.pop("meta", None)  # compared with a choice, and never shown
    drawn = json.dumps(found.charts)
    assert "&lt;script" in drawn and "<script" not in drawn  # Plotly reads a little HTML


def test_a_page_may_load_nothing_and_run_its_own_two_scripts(
    make_run: Callable, read_page: type
) -> None:
    text = page(read_run(make_run()))
    found = read_page(text)
    policies = [m for m in found.named("meta") if "http-equiv" in m]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policies[0]["content"]).split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "connect-src" not in rules and "http" not in str(policies[0]["content"])
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() + "'"
        for s in found.scripts
    ]
    assert rules["script-src"].split() == hashes
    assert text.index("Content-Security-Policy") < text.index("<style>")
    for tag, attributes in found.elements:
        assert not {"src", "href", "srcset", "action"} & set(attributes), tag
    assert "@import" not in text and "url(" not in text


def test_headings_and_charts_have_words_for_those_who_do_not_see(
    make_run: Callable, read_page: type
) -> None:
    found = read_page(page(read_run(make_run())))
    assert len(found.named("h1")) == 1 and found.named("html") == [{"lang": "en"}]
    for place in found.named("div"):
        if place.get("class") == "chart":
            assert place["role"] == "img" and len(str(place["aria-label"])) > 15
    titles = {attributes.get("id") for attributes in found.named("h2")}
    assert {attributes["aria-labelledby"] for attributes in found.named("section")} == titles


def test_a_run_from_before_search_still_has_a_page(make_run: Callable, read_page: type) -> None:
    def older(record: dict[str, Any]) -> None:
        del record["study"], record["predicts"]
        for row in record["rows"]:
            del row["leaning"]
        for member in record["members"]:
            del member["together"]

    found = read_page(page(read_run(make_run(change=older))))
    assert "Nothing was searched" in found.text
    assert "Row 1, concat, predicts: it is best by validation." in found.text
    assert "It was not measured in this run." in found.text


def test_the_whole_file_is_written_once_and_is_of_bounded_size(make_run: Callable) -> None:
    run = make_run()
    place = write_report(run)
    assert place == run / "report.html" and 4e6 < place.stat().st_size < 8e6
    assert plotly.offline.get_plotlyjs() in place.read_text("utf-8")
    assert read_run(run).record["seed"] == 7  # the folder is still sound
    with pytest.raises(OutputError, match=r"report.html is there already"):
        write_report(run)
    assert write_report(run, force=True) == place
    assert sorted(p.name for p in run.iterdir() if p.name.startswith(".")) == []


def test_a_page_never_replaces_a_file_of_the_run(make_run: Callable, tmp_path: Path) -> None:
    run = make_run()
    before = (run / "run.json").read_bytes()
    for name in ("run.json", "members.safetensors"):
        with pytest.raises(OutputError, match="is a file of the run itself"):
            write_report(run, run / name, force=True)
    assert (run / "run.json").read_bytes() == before
    assert write_report(run, tmp_path / "x.html") == tmp_path / "x.html"
    with pytest.raises(OutputError, match="there is no folder"):
        write_report(run, tmp_path / "none" / "x.html")


def test_what_is_no_whole_run_is_refused(make_run: Callable, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not there"):
        write_report(tmp_path / "none")
    with pytest.raises(RunFolderError, match="does not hold what a report needs"):
        page(read_run(make_run(change=lambda record: record.pop("split"))))
    run = make_run()
    (run / "predictions.safetensors").unlink()
    with pytest.raises(RunFolderError, match=r"predictions.safetensors is missing"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_the_same_run_gives_the_same_page_in_any_process(make_run: Callable) -> None:
    run = make_run("regression")
    here = page(read_run(run))
    assert page(read_run(run)) == here
    script = (
        "import sys, plotly.offline; plotly.offline.get_plotlyjs = lambda: 'var Plotly;'\n"
        "from pathlib import Path; from alnico.report import page\n"
        "from alnico.runs import read_run\n"
        "sys.stdout.buffer.write(page(read_run(Path(sys.argv[1]))).encode())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(run)], capture_output=True, env=environment, check=True
    )
    assert done.stdout.decode() == here


def test_names_in_any_script_come_through(make_run: Callable, read_page: type) -> None:
    name = "\u9774 \u00e9t\u00e9 \u202e\U0001f45f " + "x" * 300

    def rename(record: dict[str, Any]) -> None:
        record["options"]["target"] = name
        record["members"][0]["name"] = name

    text = page(read_run(make_run(change=rename)))
    found = read_page(text)
    assert name in found.text and text.encode("utf-8")
    shown = found.charts["learning-curves"]["data"][0]["name"]
    assert shown == name[:57] + "..."


def test_the_script_of_the_page_reads_what_charts_are_made_of(
    make_run: Callable, read_page: type
) -> None:
    found = read_page(page(read_run(make_run())))
    script = found.scripts[1]
    for place, chart in found.charts.items():
        assert set(chart) == {"data", "layout"} and chart["layout"]["font"]["size"]
        assert chart["layout"]["xaxis"]["title"] and "x" in chart["data"][0], place
    for needed in ('"-data"', '"-choice"', ".chart", "trace.meta", "prefers-color-scheme"):
        assert needed in script
    assert "innerHTML" not in script and "eval" not in script and "fetch" not in script


def test_a_missing_plotly_is_named_with_what_installs_it(
    make_run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'alnico\[report\]'"):
        write_report(make_run())

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alnico import runs
from alnico.errors import OutputError, RunFolderError, UnknownNameError
from alnico.runs import MEMBERS, MODEL, PREDICTIONS, RUN, check_place, read_run, write_run

RECORD = {"seed": 0, "classes": ["no", "ja, schön"], "metric": {"name": "log_loss", "valid": 0.25}}
TENSORS = {
    MODEL: {"weight": torch.arange(6.0).reshape(2, 3)},
    PREDICTIONS: {"row": torch.arange(4), "valid/0": torch.rand(4, 2)},
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", RECORD, TENSORS)
    return tmp_path / "run"


def test_a_run_comes_back_as_it_was_written(folder: Path) -> None:
    run = read_run(folder)
    assert run.record == RECORD and run.folder == folder
    assert sorted(path.name for path in folder.iterdir()) == [MODEL, PREDICTIONS, RUN]
    for name, state in TENSORS.items():
        found = run.tensors(name)
        assert set(found) == set(state)
        assert all(torch.equal(found[key], state[key]) for key in state)
    assert list(run.tensors(PREDICTIONS, ["row"])) == ["row"]
    with pytest.raises(UnknownNameError, match="did you mean 'row'"):
        run.tensors(PREDICTIONS, ["rows"])


def test_the_record_is_readable_and_holds_hash_and_size_of_every_file(folder: Path) -> None:
    text = (folder / RUN).read_text("utf-8")
    assert "ja, schön" in text and text.startswith('{\n "alnico_run": 1,')
    found = json.loads(text)["files"]
    assert set(found) == set(TENSORS)
    for name, said in found.items():
        path = folder / name
        assert said == {"sha256": runs.files.sha256(path), "bytes": path.stat().st_size}


@settings(max_examples=30, deadline=None)
@given(record=st.dictionaries(st.text(), JSON, max_size=4))
def test_any_record_of_json_comes_back(
    record: dict, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any") / "run"
    write_run(folder, record, {})
    assert read_run(folder).record == record


def test_equal_runs_are_equal_bytes(folder: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "again", RECORD, TENSORS)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_a_file_that_was_changed_is_refused_when_it_is_read(folder: Path) -> None:
    data = bytearray((folder / MODEL).read_bytes())
    data[-1] ^= 1
    (folder / MODEL).write_bytes(data)
    run = read_run(folder)
    assert len(run.tensors(PREDICTIONS)) == 2
    with pytest.raises(RunFolderError, match=f"{MODEL} was changed after it was written"):
        run.tensors(MODEL)


def test_a_record_that_was_changed_is_refused_but_may_be_laid_out_anew(folder: Path) -> None:
    record = json.loads((folder / RUN).read_text("utf-8"))
    (folder / RUN).write_text(json.dumps(record))
    assert read_run(folder).record == RECORD
    record["seed"] = 1
    (folder / RUN).write_text(json.dumps(record))
    with pytest.raises(RunFolderError, match=r"run\.json was changed after it was written"):
        read_run(folder)


def test_the_model_is_enough_alone_with_the_record(folder: Path) -> None:
    (folder / PREDICTIONS).unlink()
    run = read_run(folder)
    assert set(run.tensors(MODEL)) == {"weight"}
    with pytest.raises(RunFolderError, match=r"incomplete: predictions\.safetensors is missing"):
        run.tensors(PREDICTIONS)
    (folder / MODEL).unlink()
    with pytest.raises(RunFolderError, match=r"incomplete: model\.safetensors is missing"):
        read_run(folder)


def test_the_hash_of_a_file_is_checked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, hashed = read_run(folder), []
    sha256 = runs.files.sha256
    monkeypatch.setattr(runs.files, "sha256", lambda path: hashed.append(path) or sha256(path))
    run.tensors(MODEL)
    run.tensors(MODEL)
    assert hashed == [folder / MODEL]


@pytest.mark.parametrize("name", [MEMBERS, "../other.safetensors"])
def test_a_file_that_the_run_has_not_is_named(folder: Path, name: str) -> None:
    with pytest.raises(RunFolderError, match="has no file") as error:
        read_run(folder).tensors(name)
    assert error.value.help == f"it has {MODEL}, {PREDICTIONS}"


def test_what_is_no_run_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, message in (("none", "is not there"), ("file", "is not a folder")):
        with pytest.raises(RunFolderError, match=f"{name} {message}\n  help: a run folder is what"):
            read_run(tmp_path / name)
    with pytest.raises(RunFolderError, match=r"is not a run folder: no run\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not sound JSON"),
        ("{", "is not sound JSON"),
        ('{"alnico_run": 1, "files": {}, "x": NaN}', "NaN is no JSON"),
        ('{"alnico_run": 1, "alnico_run": 1}', "a name occurs twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "is not the record of a run"),
        ("{}", "is not the record of a run"),
        ('{"alnico_run": true, "files": {}}', "is not the record of a run"),
        ('{"alnico_run": 2, "files": {}}', "written by a newer alnico: its format is 2"),
        ('{"alnico_run": 1}', "does not say which files"),
        ('{"alnico_run": 1, "files": {"../x": {"sha256": ""}}}', r"names '\.\./x', which no run"),
        ('{"alnico_run": 1, "files": {"/etc/x": {"sha256": ""}}}', "which no run folder has"),
        ('{"alnico_run": 1, "files": {"model.safetensors": {}}}', "does not say the hash"),
        ('{"alnico_run": 1, "files": {}}', "was changed after it was written: its hash is not"),
    ],
)
def test_a_record_that_is_not_sound_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / RUN).write_text(text)
    with pytest.raises(RunFolderError, match=message):
        read_run(folder)


def test_links_pipes_and_huge_records_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / MODEL).rename(tmp_path / "elsewhere")
    (folder / MODEL).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match=r"model\.safetensors is not a plain file"):
        read_run(folder)
    monkeypatch.setattr(runs, "MAX_RECORD", 10)
    with pytest.raises(RunFolderError, match="not a plain file of at most 10 bytes"):
        read_run(folder)
    (folder / RUN).unlink()
    os.mkfifo(folder / RUN)
    with pytest.raises(RunFolderError, match="not a plain file"):
        read_run(folder)


def test_only_a_run_folder_is_ever_replaced(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is there already\n  help: choose another -o, or --f"):
        write_run(folder, {}, {})
    write_run(folder, {"seed": 1}, {}, force=True)
    assert read_run(folder).record == {"seed": 1}
    holiday = tmp_path / "holiday"
    holiday.mkdir()
    (holiday / "photo.jpg").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for place in (holiday, tmp_path / "file"):
        with pytest.raises(OutputError, match="not a run folder, so it is not replaced"):
            write_run(place, {}, {}, force=True)
    (holiday / RUN).write_text('{"some": "other tool"}')
    with pytest.raises(OutputError, match="not a run folder"):
        write_run(holiday, {}, {}, force=True)
    assert (holiday / "photo.jpg").exists()


def test_a_place_is_checked_before_any_work(folder: Path, tmp_path: Path) -> None:
    check_place(tmp_path / "new")
    check_place(folder, force=True)
    with pytest.raises(OutputError, match="is there already"):
        check_place(folder)


@pytest.mark.parametrize(
    ("record", "tensors", "message"),
    [
        ({"x": float("nan")}, {}, "cannot be written as JSON: Out of range float"),
        ({"x": {1, 2}}, {}, "set is not JSON serializable"),
        ({"x": "\ud800"}, {}, "surrogates not allowed"),
        ({"files": {}}, {}, r"keys that are the folder's own: \['files'\]"),
        ({}, {"other.bin": {}}, r"has no files \['other.bin'\]"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_leaves_nothing(
    record: dict, tensors: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises(RunFolderError, match=message):
        write_run(tmp_path / "run", record, tensors)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_replacing_leaves_the_old_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "write_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_run(folder, {"seed": 9}, TENSORS, force=True)
    assert read_run(folder).record == RECORD
    assert [path.name for path in folder.parent.iterdir()] == ["run"]

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from alnico.checkpoint import files
from alnico.checkpoint.files import check_place, move_folder, new_file, new_folder, sha256, writing
from alnico.errors import OutputError, RecipeError


def fail_with(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_folder(path: Path, text: str, *, force: bool = False) -> None:
    with new_folder(path, force=force) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "a.txt").write_text(text)


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"alnico" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"alnico" * 100_000).hexdigest()


def test_a_file_appears_only_at_the_end_with_ordinary_permissions(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with new_file(path) as partial:
        partial.write_text("new")
        assert not path.exists() and partial.parent == tmp_path
    assert path.read_text() == "new" and names(tmp_path) == ["out.txt"]
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    with new_file(path, force=True) as partial:
        partial.write_text("newer")
    assert path.read_text() == "newer"


def test_a_folder_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with new_folder(path) as partial:
        (partial / "a").write_text("1")
        assert not path.exists() and partial.name.startswith(".run.partial-")
    assert names(path) == ["a"] and names(tmp_path) == ["run"]
    write_folder(path, "2", force=True)
    assert names(path) == ["sub"] and names(tmp_path) == ["run"]


@pytest.mark.parametrize("make", [new_file, new_folder])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RecipeError, FileNotFoundError])
def test_what_fails_inside_leaves_nothing_and_is_not_reworded(
    make: Callable, error: type[BaseException], tmp_path: Path
) -> None:
    with pytest.raises(error), make(tmp_path / "out") as partial:
        (partial if make is new_file else partial.joinpath("a")).write_text("half")
        raise error("why")
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_what_is_there_is_not_overwritten_without_force(make: Callable, tmp_path: Path) -> None:
    for name in ("file", "folder"):
        path = tmp_path / name
        path.mkdir() if name == "folder" else path.write_text("old")
        message = "is there already\n  help: choose another -o"
        with pytest.raises(OutputError, match=message), make(path):
            pass
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(OutputError, match="is there already"):
        check_place(tmp_path / "dangling")


def test_force_replaces_no_folder_by_a_file_and_no_file_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_folder(tmp_path / "file", "x", force=True)
    with (
        pytest.raises(OutputError, match="is a folder, not a file"),
        new_file(tmp_path, force=True),
    ):
        pass
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_what_appears_meanwhile_by_another_process_stays(make: Callable, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(OutputError, match="is there already"), make(path) as partial:
        if make is new_file:
            partial.write_text("ours")
        path.write_text("theirs")
    assert path.read_text() == "theirs" and names(tmp_path) == ["out"]


def test_a_file_system_without_hard_links_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", fail_with(errno.EPERM))
    with new_file(tmp_path / "out") as partial:
        partial.write_text("ours")
    assert names(tmp_path) == ["out"]
    later = tmp_path / "later"
    with pytest.raises(OutputError, match="is there already"), new_file(later) as partial:
        partial.write_text("ours")
        later.write_text("theirs")
    assert later.read_text() == "theirs"


def test_the_old_folder_is_back_when_the_last_rename_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rename = tmp_path / "run", Path.rename
    write_folder(path, "old")

    def interrupted(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(path, "new", force=True)
    assert (path / "sub" / "a.txt").read_text() == "old" and names(tmp_path) == ["run"]


@pytest.mark.parametrize("make", [new_file, new_folder])
@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full\n  help: nothing was left behind"),
        (errno.EROFS, "no permission to write in"),
    ],
)
def test_a_full_or_read_only_disk_is_named_and_leaves_nothing(
    make: Callable, number: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", fail_with(number))
    with pytest.raises(OutputError, match=message), make(tmp_path / "out") as partial:
        (partial if make is new_file else partial.joinpath("a")).write_text("x")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EDQUOT, "quota"), "x cannot be written: the disk is full"),
        (PermissionError(errno.EACCES, "no"), "x cannot be written: no permission to write in"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "x cannot be written: No such file"),
        (OSError("said in words"), "x cannot be written: said in words\n  help: choose another -o"),
        (OutputError("our own", help="h"), "^our own\n  help: h$"),
    ],
)
def test_every_reason_of_the_system_is_put_in_our_words(error: OSError, message: str) -> None:
    with pytest.raises(OutputError, match=message), writing(Path("x")):
        raise error
    with pytest.raises(ValueError, match="as it was"), writing(Path("x")):
        raise ValueError("as it was")


def test_a_replaced_folder_lies_aside_until_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, place, aside = tmp_path / "new", tmp_path / "place", tmp_path / "aside"
    write_folder(place, "old")
    write_folder(new, "new")
    at_removal: list[list[str]] = []
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, **__: at_removal.append(names(tmp_path)))
    move_folder(new, place, force=True, aside=aside)
    assert at_removal == [["aside", "place"]]
    assert (aside / "sub" / "a.txt").read_text() == "old"
    assert (place / "sub" / "a.txt").read_text() == "new"


def test_a_link_to_a_folder_is_replaced_and_the_folder_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "theirs", "old")
    (tmp_path / "out").symlink_to(tmp_path / "theirs")
    write_folder(tmp_path / "out", "new", force=True)
    assert (tmp_path / "theirs" / "sub" / "a.txt").read_text() == "old"
    assert not (tmp_path / "out").is_symlink() and names(tmp_path) == ["out", "theirs"]


def test_a_bad_place_is_known_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match=r"there is no folder .*none\n  help: make it first"):
        check_place(tmp_path / "none" / "out")
    for path in (Path(), Path("..")):
        with pytest.raises(OutputError, match="cannot be an output"):
            check_place(path, force=True)
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="no permission to write"):
        check_place(tmp_path / "out")


def test_a_killed_process_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "run"
    write_folder(path, "old")
    script = (
        "import os, sys; from pathlib import Path; from alnico.checkpoint.files import new_folder\n"
        "with new_folder(Path(sys.argv[1]), force=True) as partial:\n"
        "    (partial / 'a').write_text('new'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == -9
    assert (path / "sub" / "a.txt").read_text() == "old"

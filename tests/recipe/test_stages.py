from __future__ import annotations

from pathlib import Path

import pytest

from alnico.errors import OutputError, RecipeError
from alnico.recipe.stages import Stages, staging


def fill(stages: Stages, name: str = "pets") -> None:
    stages.place(name).mkdir()
    (stages.place(name) / "model.safetensors").write_bytes(b"weights")
    stages.add(name, "made of this")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_ours_goes_away_when_all_is_done_or_fails(tmp_path: Path) -> None:
    with staging(tmp_path / "out", None, resume=False) as stages:
        assert stages.folder == tmp_path / ".out.stages"
        fill(stages)
    assert names(tmp_path) == []
    with (
        pytest.raises(RecipeError, match="on purpose"),
        staging(tmp_path / "out", None, resume=False) as stages,
    ):
        fill(stages)
        raise RecipeError("on purpose")
    assert names(tmp_path) == []


def test_after_ctrl_c_results_can_be_gone_on_with_or_are_removed(tmp_path: Path) -> None:
    for resume in (True, False):
        with (
            pytest.raises(KeyboardInterrupt),
            staging(tmp_path / "out", None, resume=False) as stages,
        ):
            fill(stages)
            raise KeyboardInterrupt
        assert names(tmp_path) == [".out.stages"]
        with staging(tmp_path / "out", None, resume=resume) as stages:
            assert stages.holds("pets", "made of this") is resume
            assert not stages.holds("pets", "made of that")
            assert not stages.holds("cats", "made of this")
        assert names(tmp_path) == []


def test_a_folder_of_the_users_keeps_results_and_no_notes(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "diary.txt").write_text("of the user's")
    with staging(tmp_path / "out", kept, resume=False) as stages:
        fill(stages)
    assert names(kept) == ["diary.txt", "pets"]


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".out.stages").mkdir()
    (tmp_path / ".out.stages" / "diary.txt").write_text("of the user's")
    with (
        pytest.raises(OutputError, match="is not of an unfinished merge"),
        staging(tmp_path / "out", None, resume=False),
    ):
        pass
    assert names(tmp_path / ".out.stages") == ["diary.txt"]


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    with staging(tmp_path / "out", None, resume=False) as stages:
        fill(stages)
        with (
            pytest.raises(OutputError, match="is in use by another process"),
            staging(tmp_path / "out", None, resume=False),
        ):
            pass
        assert stages.holds("pets", "made of this")


@pytest.mark.parametrize("name", ["..", "a/b", "/a", ".hidden", "", "a\nb", ".lock"])
def test_a_name_that_leaves_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the result of a recipe cannot be called"):
        Stages(tmp_path).place(name)

from __future__ import annotations

from pathlib import Path

import pytest

from alnico.checkpoint.journal import Journal, read_journal


def test_what_is_added_is_read_back_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "key", {"a": "1"})
    journal.add('odd "name"\n\u00e9', "2")
    assert read_journal(path) == ("key", {"a": "1", 'odd "name"\n\u00e9': "2"})
    journal.add("a", "3")
    journal.close()
    journal.close()
    assert read_journal(path) == ("key", {"a": "3", 'odd "name"\n\u00e9': "2"})


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_line_that_was_cut_does_not_count(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "key", {})
    journal.add("a", "1")
    journal.add("b", "2")
    journal.close()
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_journal(path) == ("key", {"a": "1"})


def test_a_new_journal_forgets_the_old_one(tmp_path: Path) -> None:
    Journal(tmp_path / "journal", "old", {"a": "1"}).close()
    Journal(tmp_path / "journal", "new", {}).close()
    assert read_journal(tmp_path / "journal") == ("new", {})
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


def test_no_journal_is_none_and_another_file_is_an_error(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "journal") is None
    for text in ("", "key\n", '"key"\n[1, 2, 3]\n'):
        (tmp_path / "journal").write_text(text)
        with pytest.raises(ValueError):
            read_journal(tmp_path / "journal")

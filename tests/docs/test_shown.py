"""What plays the pages is not too kind to them."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs.shown import commands, compare, play

PRINTED = "a 1\nb 2\nsha256 0123456789ab\n110 MB at most: ties\n"


@pytest.mark.parametrize(
    "shown",
    [
        PRINTED,
        "a 1\n...\n110 MB at most: ties\n",
        "...\n",
        "a 1\nb 2\nsha256 ffffffffff\n113 MB at most: ties",
    ],
)
def test_what_is_printed_may_be_shortened_and_digests_and_memory_may_differ(shown: str) -> None:
    compare(shown, PRINTED, "test")


@pytest.mark.parametrize(
    "shown",
    ["", "a 1\n", PRINTED.replace("2", "3"), PRINTED + "c 3\n", "...\na 2\n...\n"],
)
def test_anything_else_is_a_fault(shown: str) -> None:
    with pytest.raises(AssertionError, match=r"test prints[^\0]*and the page shows"):
        compare(shown, PRINTED, "test")


def test_commands_go_on_after_a_backslash_and_end_at_a_comment() -> None:
    (first, second) = commands("$ alnico merge a \\\n      b -o c  # here\nsaid\n$ ls\n")
    assert first.words == ["alnico", "merge", "a", "b", "-o", "c"] and first.printed == "said\n"
    assert second.words == ["ls"] and second.printed == ""


def test_files_are_written_python_is_run_and_its_output_compared(here: Path) -> None:
    page = here / "page.md"
    page.write_text(
        "```yaml\n# one.yml\nx: 1\n```\n"
        "```python\nfrom pathlib import Path\nprint(Path('one.yml').read_text())\n```\n"
        "```text\n# one.yml\nx: 1\n```\n"
    )
    play(page, here)
    page.write_text(page.read_text().replace("x: 1\n```\n```python", "x: 2\n```\n```python"))
    with pytest.raises(AssertionError, match="x: 2"):
        play(page, here)


def test_a_block_that_is_not_played_is_refused(here: Path) -> None:
    page = here / "page.md"
    page.write_text("```bash\nrm -r x\n```\n")
    with pytest.raises(AssertionError, match="a block in bash"):
        play(page, here)
    page.write_text("```console\n$ rm -r x\n```\n")
    with pytest.raises(AssertionError, match="not played"):
        play(page, here)

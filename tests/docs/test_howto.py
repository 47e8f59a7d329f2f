"""The pages of `docs/howto` do what they say, and say what is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.shown import ROOT, play

from alnico.methods import methods
from alnico.recipe.mergekit.table import CONTRACTS, REQUIRED

PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_is_printed(page: Path, here: Path) -> None:
    play(page, here)


def test_the_table_of_two_tongues_holds_every_parameter_and_default() -> None:
    page = (ROOT / "docs" / "howto" / "from_mergekit.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    found = {row[0]: row[1:] for row in rows if row[0] in CONTRACTS}
    assert list(found) == list(CONTRACTS)
    for name, (theirs, ours) in found.items():
        contract, method = CONTRACTS[name], methods[name]
        assert _read(theirs) == {
            parameter.name: None if parameter.default is REQUIRED else parameter.default
            for parameter in contract.parameters.values()
            if parameter.name != "int8_mask" and parameter.name not in contract.unused
        }
        assert _read(ours) == {parameter.name: parameter.default for parameter in method.parameters}


WORDS = {"": None, "true": True, "false": False}


def _read(cell: str) -> dict[str, object]:
    found = re.findall(r"`(\w+)`(?: ([\w.-]+))?", cell)
    return {
        name: float(text) if text[:1].isdigit() else WORDS.get(text, text) for name, text in found
    }

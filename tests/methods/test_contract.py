from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from alnico.methods import methods
from alnico.testing import check_method

PAGES = Path(__file__).parents[2] / "docs" / "methods"


def test_every_registered_method_keeps_the_contract() -> None:
    check_method(*methods)


@pytest.mark.parametrize("name", list(methods))
def test_every_method_has_a_page_that_names_its_parameters(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text("utf-8")
    assert page.startswith(f"# {name}\n")
    for parameter in methods[name].parameters:
        assert f"`{parameter.name}`" in page
    assert ("a base" in page) == methods[name].takes_base
    for heading in ("**When**", "**Cost**", "**Source**"):
        assert heading in page


def test_no_page_is_of_a_method_that_is_not_there() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(methods)


def test_methods_and_their_words_can_be_read_without_torch() -> None:
    code = "import sys; from alnico.methods import methods; methods['ties']; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

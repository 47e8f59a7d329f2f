from __future__ import annotations

import subprocess
import sys

import pytest

from alnico.methods import methods
from alnico.testing import check_method


@pytest.mark.parametrize("name", list(methods))
def test_every_registered_method_keeps_the_contract(name: str) -> None:
    check_method(name)


def test_methods_can_be_read_without_torch() -> None:
    code = "import sys; from alnico.methods import methods; methods['linear']; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

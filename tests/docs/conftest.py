from __future__ import annotations

from pathlib import Path

import pytest

from alnico.methods import methods


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one; methods that are registered meanwhile are forgotten."""
    monkeypatch.setattr(methods, "_things", dict(methods._things))
    monkeypatch.chdir(tmp_path)
    return tmp_path

from __future__ import annotations

from collections.abc import Callable

from alnico.checkpoint.files import sha256
from alnico.report.about import about


def test_it_says_where_the_figures_come_from(make_facts: Callable, read_page: type) -> None:
    facts = make_facts()
    text = read_page(about(facts)).text
    assert "600 train, 200 valid, 200 test" in text and "60 / 20 / 20 by class, seed 7" in text
    assert "id (as asked)" in text and "visits" in text
    assert "total gives the target away: roc_auc 0.999" in text
    assert "alnico 0.1.0, torch 2.13.0" in text and "61.0 s, 2 threads" in text
    for name in ("model.safetensors", "predictions.safetensors"):
        assert f"{name} {sha256(facts.run.folder / name)}" in text
    assert "ab" * 32 in text


def test_no_leaks_are_said_too(make_facts: Callable, read_page: type) -> None:
    facts = make_facts(change=lambda record: record.update(leaks=[]))
    assert "No column that was used gives the target away" in read_page(about(facts)).text

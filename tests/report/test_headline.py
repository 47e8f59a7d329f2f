from __future__ import annotations

from collections.abc import Callable

from alnico.report.headline import headline


def test_it_says_what_was_predicted_from_what(make_facts: Callable, read_page: type) -> None:
    text = read_page(headline(make_facts())).text
    assert "buys from shop.csv" in text and "alnico run of 2025-03-01" in text
    assert "1\u202f000 rows \u00b7 2 classes: no, yes \u00b7 ranked by log_loss" in text
    many = make_facts(
        "multiclass", change=lambda record: record["task"].update(classes=list("abcdefgh"))
    )
    assert "8 classes \u00b7" in headline(many)
    assert "a number \u00b7 ranked by rmse" in headline(make_facts("regression"))


def test_it_says_whether_fusing_paid_and_which_row_predicts(make_facts: Callable) -> None:
    facts = make_facts()
    made = headline(facts)
    assert '<p class="verdict">Fusing paid.</p><p>It is better.</p>' in made
    assert "it is small</p>" in made
    row = facts.predicts
    assert f"<dd>{row['test']:.4f}</dd>" in made and "lower is better" in made
    assert "0.0000</dd>" in made and "\u22120.0040 to +0.0050" in made
    assert "higher is better" in headline(make_facts("multiclass"))


def test_a_verdict_of_one_sentence_has_no_empty_rest(make_facts: Callable) -> None:
    text = "There is nothing to compare."
    one = make_facts(change=lambda record: record.update(verdict={"paid": False, "text": text}))
    assert f'<p class="verdict">{text}</p></div>' in headline(one)
    none = make_facts(change=lambda record: record.update(verdict=None))
    assert "nothing could be compared" in headline(none)


def test_an_interrupted_run_shows_validation_and_says_so(make_facts: Callable) -> None:
    facts = make_facts(is_open=False)
    made = headline(facts)
    assert "This run was interrupted: the test part is still shut." in made
    assert f"<dd>{facts.predicts['valid']:.4f}</dd>" in made and "validation part" in made
    assert "gain over" not in made and "to predict a row" not in made

"""The top of the page: what was predicted, whether fusing paid, and which row predicts."""

from __future__ import annotations

from alnico.report import words
from alnico.report.facts import Facts
from alnico.report.markup import Html, tag


def headline(facts: Facts) -> Html:
    """The table, the target, the verdict in words, and the figures of the row that predicts."""
    record, table = facts.record, facts.record["table"]
    about = [f"{words.count(table['rows'])} rows", _task(facts), f"ranked by {facts.metric.name}"]
    return tag(
        "header",
        tag("p", f"alnico run of {record['created'][:10]}", class_="over"),
        tag("h1", f"{facts.target} ", tag("span", f"from {words.last_part(table['source'])}")),
        tag("p", " \u00b7 ".join(about), class_="muted"),
        _verdict(facts),
        _figures(facts),
    )


def _task(facts: Facts) -> str:
    if facts.kind == "regression":
        return "a number"
    if len(facts.classes) > 6:
        return f"{len(facts.classes)} classes"
    return f"{len(facts.classes)} classes: {', '.join(facts.classes)}"


def _verdict(facts: Facts) -> Html:
    verdict = facts.record.get("verdict")
    if not facts.is_open:
        return tag(
            "div",
            tag("p", "This run was interrupted: the test part is still shut.", class_="verdict"),
            tag(
                "p",
                "All figures are of the validation part, which rows are ranked by, and flatter "
                "the best of them. Whether fusing paid is said once the run is finished.",
            ),
            class_="lead",
        )
    if verdict is None:
        return tag("p", "There is no verdict: nothing could be compared.", class_="verdict")
    opening, _, rest = str(verdict["text"]).partition(". ")
    first = opening if opening.endswith(".") else f"{opening}."
    more = tag("p", rest) if rest else None
    return tag("div", tag("p", first, class_="verdict"), more, class_="lead")


def _figures(facts: Facts) -> Html:
    row = facts.predicts
    score = row["test"] if facts.is_open else row["valid"]
    figures = [
        (words.score(score), f"{facts.metric.name}, {facts.part_name}", _direction(facts)),
        (
            words.score(row["gain"], signed=True),
            "gain over the best single network",
            words.interval(row) or None,
        ),
        (words.short_count(row["parameters"]), "parameters", None),
        (words.microseconds(row["microseconds_a_row"]), "to predict a row", None),
    ]
    cards = [
        tag("div", tag("dt", name), tag("dd", value), tag("p", note) if note else None)
        for value, name, note in figures
        if value != words.NOTHING
    ]
    return tag(
        "div", tag("dl", *cards, class_="figures"), tag("p", facts.why_it_predicts, class_="muted")
    )


def _direction(facts: Facts) -> str:
    return "higher is better" if facts.metric.greater_is_better else "lower is better"

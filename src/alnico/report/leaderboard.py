"""The leaderboard: the best of each kind, all rows on request, and gains as a forest plot."""

from __future__ import annotations

from collections.abc import Sequence

from alnico.evaluation.drawing import title
from alnico.report import words
from alnico.report.chart import ACCENT, HOVER, MUTED, TEXT, Chart, axis, draw, label, lines
from alnico.report.facts import Facts, Record
from alnico.report.markup import Html, join, section, table, tag


def leaderboard(facts: Facts) -> Html:
    """Rows by rank, with intervals of their gains."""
    best, every = facts.best_of_each, facts.rows
    all_rows = None
    if len(every) > len(best):
        summary = tag("summary", f"All {len(every)} rows")
        all_rows = tag("details", summary, _table(facts, every, caption="All rows"))
    return section(
        "leaderboard",
        "Leaderboard",
        tag("p", _what(facts)),
        _table(facts, best, caption="The best row of each kind"),
        all_rows,
        _skipped(facts),
        _kinds(best),
        draw(_forest(facts)) if any(row["gain"] is not None for row in best) else None,
    )


def _what(facts: Facts) -> str:
    ranked = "Rows are ranked by the validation part alone"
    if not facts.is_open:
        return f"{ranked}. The test part is still shut, so there are no gains."
    single = facts.single
    over = "" if single is None else f" over the best single network, row {single['row']}"
    return (
        f"{ranked}; the test part was opened once, at the end. The gain is that of the test "
        f"part{over}, with its 95 % interval; above zero is better."
    )


def _table(facts: Facts, rows: Sequence[Record], *, caption: str) -> Html:
    head = [
        _head("#"),
        _head("kind", "words"),
        _head("made of", "words wide"),
        _head("valid", "wide"),
        _head("test" if facts.is_open else "valid", None if facts.is_open else "narrow"),
        _head("gain, 95 % interval"),
        _head("params", "wide"),
        _head("a row", "wide"),
        _head("fit", "wide"),
    ]
    return table(head, [_cells(facts, row) for row in rows], caption=caption)


def _head(text: str, class_: str | None = None) -> Html:
    return tag("th", text, class_=class_, scope="col")


def _cells(facts: Facts, row: Record) -> list[Html]:
    is_used = row is facts.predicts
    mark = tag("span", "predicts", class_="mark") if is_used else None
    main = ("test", None) if facts.is_open else ("valid", "narrow")
    return [
        tag("td", str(row["row"]), class_="used" if is_used else None),
        tag("th", title(row), mark, class_="words", scope="row"),
        tag("td", row["parts"], class_="words wide muted"),
        tag("td", words.score(row["valid"]), class_="wide"),
        tag("td", words.score(row[main[0]]), class_=main[1]),
        tag("td", _gain(row)),
        tag("td", words.short_count(row["parameters"]), class_="wide"),
        tag("td", words.microseconds(row["microseconds_a_row"]), class_="wide"),
        tag("td", words.seconds(row["fit_seconds"]), class_="wide"),
    ]


def _gain(row: Record) -> Html:
    interval = words.interval(row)
    if row["gain"] is not None and not interval:
        return tag("span", "the reference", class_="muted")
    beside = tag("small", interval) if interval else None
    return join([words.score(row["gain"], signed=True), beside])


def _skipped(facts: Facts) -> Html | None:
    if not facts.skipped:
        return None
    reasons: dict[str, list[str]] = {}
    for row in facts.skipped:
        reasons.setdefault(row["skipped"], []).append(row["kind"])
    said = "; ".join(f"{', '.join(kinds)} ({why})" for why, kinds in reasons.items())
    return tag("p", f"Skipped: {said}.", class_="muted")


def _kinds(rows: Sequence[Record]) -> Html | None:
    found = dict.fromkeys(row["kind"] for row in rows if row["kind"] in words.KINDS)
    if not found:
        return None
    items = [tag("div", tag("dt", kind), tag("dd", words.KINDS[kind])) for kind in found]
    return tag("details", tag("summary", "What the kinds are"), tag("dl", *items, class_="kinds"))


def _forest(facts: Facts) -> Chart:
    """Gains with their intervals, the best row at the top; what is far off stands at the edge."""
    rows = [row for row in facts.best_of_each if row["gain"] is not None]
    names = [f"{label(title(row))}  {row['row']}" for row in rows]
    low, high = _range(rows)
    shown = [i for i, row in enumerate(rows) if row["gain_low"] >= low]
    off = [i for i, row in enumerate(rows) if row["gain_low"] < low]
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": [rows[i]["gain"] for i in shown],
        "y": [names[i] for i in shown],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [rows[i]["gain_high"] - rows[i]["gain"] for i in shown],
            "arrayminus": [rows[i]["gain"] - rows[i]["gain_low"] for i in shown],
            "color": MUTED,
            "thickness": 1.5,
            "width": 0,
        },
        "marker": {
            "size": 9,
            "color": [ACCENT if rows[i] is facts.predicts else TEXT for i in shown],
        },
        "text": [_hover(rows[i]) for i in shown],
        "hovertemplate": HOVER,
    }
    beyond = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [low] * len(off),
        "y": [names[i] for i in off],
        "marker": {"symbol": "triangle-left", "size": 9, "color": MUTED},
        "text": [f" {words.score(rows[i]['gain'], signed=True)}" for i in off],
        "textposition": "middle right",
        "textfont": {"color": MUTED},
        "hovertext": [_hover(rows[i]) for i in off],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    pad = 0.04 * (high - low)
    return Chart(
        "gains",
        "The gain of each row over the best single network, with its 95 % interval",
        "Gain on the test part over the best single network, with 95 % intervals, best by "
        "validation on top. The row that predicts is coloured"
        + (", rows that are far behind stand at the left edge." if off else "."),
        [points, beyond] if off else [points],
        {
            "xaxis": axis(f"gain in {facts.metric.name}", range=[low - pad, high + pad]),
            "yaxis": axis(
                "", categoryorder="array", categoryarray=names[::-1], range=[-0.7, len(rows) - 0.3]
            ),
            "shapes": [_zero_line()],
            "showlegend": False,
        },
        height=90 + 26 * len(rows),
    )


def _zero_line() -> dict[str, object]:
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _range(rows: Sequence[Record]) -> tuple[float, float]:
    """From where to where gains are drawn: a few networks that learned nothing must not rule it."""
    high = max([0.0, *(row["gain_high"] for row in rows)])
    lows = sorted(row["gain_low"] for row in rows)
    middle = lows[len(lows) // 2]
    reach = 3 * max(high, -middle) or 1.0
    return min([0.0, *(low for low in lows if low > -reach)]), high


def _hover(row: Record) -> str:
    gain = f"{words.score(row['gain'], signed=True)}  {words.interval(row)}"
    return lines(f"# {row['row']}  {label(title(row))}", label(row["parts"]), gain)

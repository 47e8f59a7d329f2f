"""Which members a fusion leans on: what it loses if one member's part is shuffled."""

from __future__ import annotations

from alnico.evaluation.drawing import title
from alnico.report.chart import ACCENT, Chart, Trace, axis, draw, label
from alnico.report.facts import Facts, Record
from alnico.report.markup import Html, section, tag

_MAX_ROWS = 8


def leaning(facts: Facts) -> Html:
    """Each member's share of what the fusion loses, for the best fusions."""
    rows = [row for row in facts.best_of_each if row.get("leaning")][:_MAX_ROWS]
    heading = "Which members the fusion leans on"
    if not rows:
        return section("leaning", heading, tag("p", "It was not measured in this run."))
    rows.sort(key=lambda row: row is not facts.predicts)
    names = [f"{title(row)}, row {row['row']}" for row in rows]
    most = max(len(row["leaning"]) for row in rows)
    chart = Chart(
        "leaning-shares",
        "Share of each member in what a fusion loses if the member's part is shuffled",
        "A member whose part is shuffled tells nothing more; the shares are of the loss on "
        "validation rows that this costs. Members that say the same share one another's part.",
        [_bars(row, name) for row, name in zip(rows, names, strict=True)],
        {
            "xaxis": axis("share of the loss", tickformat=".0%", rangemode="tozero"),
            "yaxis": axis("", autorange="reversed", type="category"),
            "showlegend": False,
            "bargap": 0.35,
        },
        height=110 + 30 * most,
        choices=names,
        choose="Fusion",
    )
    return section("leaning", heading, draw(chart))


def _bars(row: Record, name: str) -> Trace:
    members = sorted(row["leaning"], key=lambda member: -member["share"])
    return {
        "type": "bar",
        "orientation": "h",
        "x": [member["share"] for member in members],
        "y": [label(member["member"]) for member in members],
        "meta": name,
        "marker": {"color": ACCENT},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }

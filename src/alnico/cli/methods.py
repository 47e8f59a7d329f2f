"""`alnico methods`: the merge methods, or one of them with its parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from alnico.methods import Method
    from alnico.methods._method import Parameter


def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this one.")] = None,
    plugin: Annotated[Path | None, typer.Option(help="Run a Python file with methods.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")] = False,
) -> None:
    """List the methods of `alnico merge`, or show one with its parameters."""
    from alnico.methods import methods as known

    if plugin is not None:
        from alnico.merging import load_plugin

        load_plugin(plugin)
    shown = known.values() if name is None else [known[name]]
    if as_json:
        records = [_record(method) for method in shown]
        typer.echo(json.dumps(records if name is None else records[0], indent=1))
    elif name is None:
        typer.echo(_draw_list(shown))
    else:
        typer.echo(_draw_one(shown[0]))


def _draw_list(shown: list[Method]) -> str:
    from alnico.evaluation.drawing import Column, draw_table

    columns = (Column("method"), Column("what it is for"), Column("needs"))
    rows = [
        (method.name, method.summary, "a base" if method.sees == "deltas" else "")
        for method in shown
    ]
    return draw_table(columns, rows) + "\nOne method: alnico methods NAME"


def _draw_one(method: Method) -> str:
    from alnico.evaluation.drawing import fill

    width = max((len(parameter.name) for parameter in method.parameters), default=0)
    lines = [fill(f"{method.name:<8} {method.summary}")]
    lines += [
        f"  --{parameter.name:<{width}}   {_shown(parameter.default):<5}  {_allowed(parameter)}"
        for parameter in method.parameters
    ]
    notes = ["needs --base."] if method.sees == "deltas" else []
    notes += [f"merges {method.models} models."] if method.models else []
    notes += [f"Paper: {method.paper}"] if method.paper else []
    return "\n".join([*lines, *(["  " + "  ".join(notes)] if notes else [])])


def _allowed(parameter: Parameter) -> str:
    from alnico.methods._method import KINDS

    said = KINDS[parameter.type]
    if parameter.per_model:
        said = "one number, or one per model"
    interval = parameter.interval
    if interval is None:
        return said
    limits = f"{interval.low:g} to {interval.high:g}"
    return limits if parameter.type is float and not parameter.per_model else f"{said}, {limits}"


def _shown(value: bool | int | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _record(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "needs_base": method.sees == "deltas",
        "models": method.models,
        "paper": method.paper,
        "symmetric": method.symmetric,
        "idempotent": method.idempotent,
        "parameters": [
            {
                "name": parameter.name,
                "default": parameter.default,
                "type": parameter.type.__name__,
                "low": parameter.interval and parameter.interval.low,
                "high": parameter.interval and parameter.interval.high,
                "per_model": parameter.per_model,
            }
            for parameter in method.parameters
        ],
    }

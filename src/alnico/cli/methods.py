"""`alnico methods`: the merge methods, or one of them with its parameters."""

from __future__ import annotations

import json
import math
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
        (method.name, method.summary, "a base" if method.needs_base else "") for method in shown
    ]
    return draw_table(columns, rows) + "\nOne method: alnico methods NAME"


def _draw_one(method: Method) -> str:
    from alnico.evaluation.drawing import fill

    shown = [(p.name, _shown(p.default), _allowed(p)) for p in method.parameters]
    width = max((len(name) for name, _, _ in shown), default=0)
    by_default = max((len(default) for _, default, _ in shown), default=0)
    lines = [fill(f"{method.name:<7}  {method.summary}")]
    lines += [
        f"  --{name:<{width}}   {default:<{max(5, by_default)}}  {allowed}"
        for name, default, allowed in shown
    ]
    notes = ["needs --base."] if method.needs_base else []
    notes += ["takes a --base, or none."] if method.takes_base and not method.needs_base else []
    notes += _counted(method)
    notes += [f"Paper: {method.paper}"] if method.paper else []
    return "\n".join([*lines, *(["  " + "  ".join(notes)] if notes else [])])


def _counted(method: Method) -> list[str]:
    if method.models is not None:
        return [f"merges {method.models} model{'s' * (method.models != 1)}."]
    return [f"merges {method.at_least} or more models."] if method.at_least > 1 else []


def _allowed(parameter: Parameter) -> str:
    from alnico.methods._method import KINDS

    if parameter.choices:
        return ", ".join(parameter.choices[:-1]) + f" or {parameter.choices[-1]}"
    said = KINDS[parameter.type]
    if parameter.per_model:
        said = "one number, or one per model"
    interval = parameter.interval
    if interval is None:
        return said
    limits = f"{interval.low:g} to {interval.high:g}"
    if math.isinf(interval.high):
        limits = f"{interval.low:g} or more"
    return limits if parameter.type is float and not parameter.per_model else f"{said}, {limits}"


def _shown(value: bool | int | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _limit(value: float) -> float | None:
    """A limit as JSON can hold it: none where there is none."""
    return value if math.isfinite(value) else None


def _record(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "needs_base": method.needs_base,
        "takes_base": method.takes_base,
        "models": method.models,
        "at_least": method.at_least,
        "paper": method.paper,
        "symmetric": method.symmetric,
        "idempotent": method.idempotent,
        "parameters": [
            {
                "name": parameter.name,
                "default": parameter.default,
                "type": parameter.type.__name__,
                "low": parameter.interval and _limit(parameter.interval.low),
                "high": parameter.interval and _limit(parameter.interval.high),
                "per_model": parameter.per_model,
                "choices": parameter.choices,
            }
            for parameter in method.parameters
        ],
    }

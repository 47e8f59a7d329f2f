"""The parameters of a merge method as options of a command: `--weight 1.0 0.8 --density 0.3`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from alnico.methods import Method
    from alnico.methods._parameter import Parameter, Value


class MethodCommand(TyperCommand):
    """A verb whose options are also the parameters of a merge method."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words after the verb, with a parameter `--NAME VALUE` as `--set NAME=VALUE`."""
        own = {name for option in self.params for name in (*option.opts, *option.secondary_opts)}
        with_value = {
            name
            for option in self.params
            for name in option.opts
            if name.startswith("-") and not getattr(option, "is_flag", False)
        }
        own.update(ctx.help_option_names)
        return super().parse_args(ctx, as_settings(args, own=own, with_value=with_value))


def as_settings(args: Sequence[str], *, own: set[str], with_value: set[str]) -> list[str]:
    """Write each option that is not the verb's own as `--set NAME=VALUE`, once for each value.

    It takes the next word, and after a number all numbers that follow.
    """
    words, written = list(args), list[str]()
    while words:
        word = words.pop(0)
        if word == "--":
            return [*written, word, *words]
        option, equals, value = word.partition("=")
        if not word.startswith("--") or option in own:
            written.append(word)
            if word in with_value and words:
                written.append(words.pop(0))
            continue
        values = [value] if equals else []
        if not equals and words and (_is_number(words[0]) or not words[0].startswith("-")):
            values.append(words.pop(0))
            while words and _is_number(values[0]) and _is_number(words[0]):
                values.append(words.pop(0))
        name = option.removeprefix("--").replace("-", "_")
        written += [part for text in values for part in ("--set", f"{name}={text}")]
        written += [] if values else ["--set", name]
    return written


def read_parameters(
    method: Method, settings: Iterable[str], *, options: Iterable[str]
) -> dict[str, Value]:
    """Values by name from `NAME=VALUE`, in the types that the method asks for."""
    from alnico.errors import RecipeError
    from alnico.registry import suggest

    known = {parameter.name: parameter for parameter in method.parameters}
    texts: dict[str, list[str]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name not in known:
            near = [*(f"--{name}" for name in known), *(o for o in options if o.startswith("--"))]
            raise RecipeError(
                f"{method.name} has no parameter {name!r}",
                help=suggest(f"--{name}", near, all_of_them="options are"),
            )
        if not equals:
            raise RecipeError(f"{method.name}: {name} needs a value", help=f"--{name} VALUE")
        texts.setdefault(name, []).append(text)
    return {name: _value(method.name, known[name], given) for name, given in texts.items()}


def _value(method: str, parameter: Parameter, texts: Sequence[str]) -> Value:
    from alnico.errors import RecipeError

    values = [_typed(parameter, text) for text in texts]
    if len(values) == 1:
        return values[0]
    if not parameter.per_model:
        raise RecipeError(
            f"{method}: {parameter.name} is one value for all models, got {' '.join(texts)}",
            help="give it once",
        )
    numbers = [value for value in values if isinstance(value, float)]
    return numbers if len(numbers) == len(texts) else " ".join(texts)


def _typed(parameter: Parameter, text: str) -> bool | int | float | str:
    """A text in the parameter's type; as it is where it cannot be, for the method to refuse."""
    if parameter.type is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return parameter.type(text)
    except ValueError:
        return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

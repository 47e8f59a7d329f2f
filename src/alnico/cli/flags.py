"""Options that several verbs of merging share, and what their words ask for together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from alnico.cli.parameters import read_parameters
from alnico.errors import RecipeError
from alnico.registry import suggest

if TYPE_CHECKING:
    from alnico.recipe import Recipe

RECIPES = (".yml", ".yaml")

Models: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="MODEL... | RECIPE.yml", help="Files, folders, hub names; or a recipe."),
]
RecipeFile: TypeAlias = Annotated[
    Path, typer.Argument(metavar="RECIPE.yml", help="Of alnico's own or of mergekit's.")
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", help="A folder, or a .safetensors file.")
]
Base: TypeAlias = Annotated[str | None, typer.Option(help="The model that all came from.")]
MethodName: TypeAlias = Annotated[
    str | None, typer.Option("--method", help="How; see alnico methods. By default linear.")
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter, like --NAME VALUE."),
]
Plugin: TypeAlias = Annotated[Path | None, typer.Option(help="Run a Python file with methods.")]
Tokenizer: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="union|base|MODEL", help="Whose tokens; models may have their own."),
]
Score: TypeAlias = Annotated[
    str | None,
    typer.Option("--eval", metavar="FILE.py:FUNCTION", help="Score every model with it."),
]
Dtype: TypeAlias = Annotated[str | None, typer.Option(help="Of the output, e.g. bfloat16.")]
ShardSize: TypeAlias = Annotated[
    str | None, typer.Option(help="The most bytes of one file in a folder, e.g. 5GB.")
]
Seed: TypeAlias = Annotated[int | None, typer.Option(help="Of methods that draw random numbers.")]
Threads: TypeAlias = Annotated[int, typer.Option(help="How many; 0 is one for each core.")]
Device: TypeAlias = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")]
IntegersFrom: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Take its integer tensors where models differ."),
]
Nonfinite: TypeAlias = Annotated[
    bool, typer.Option("--allow-nonfinite", help="Merge models with NaN or infinite weights.")
]
Sha256: TypeAlias = Annotated[
    bool, typer.Option("--sha256", help="Note the SHA-256 of large files, too.")
]
Compat: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="mergekit", help="A mergekit recipe: its very bits, whole tensors."),
]
Strict: TypeAlias = Annotated[
    bool, typer.Option("--strict", help="A mergekit recipe: refuse keys that mean nothing.")
]
KeptStages: TypeAlias = Annotated[
    Path | None, typer.Option("--stages", help="Keep the results of named recipes there.")
]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on with what was interrupted.")
]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace the output.")]


def read_asked(
    context: typer.Context,
    models: Sequence[str],
    *,
    base: str | None,
    method: str | None,
    settings: Sequence[str] | None,
    plugin: Path | None,
    tokenizer: str | None = None,
) -> Path | Recipe:
    """What words ask for: the file of a recipe, or the recipe that does what flags say.

    Args:
        context: Of the verb.
        models: Models, or the file of one recipe.
        base: The model that all came from.
        method: The name of a merge method.
        settings: Its parameters as `NAME=VALUE`.
        plugin: A Python file with methods.
        tokenizer: Of the result: `union`, `base` or a model.

    Raises:
        RecipeError: If a recipe comes with what recipes say themselves, or as `from_flags` does.
        AlnicoError: As `load_plugin` does.
    """
    if plugin is not None:
        from alnico.merging import load_plugin

        load_plugin(plugin)
    recipes = [model for model in models if model.endswith(RECIPES)]
    if recipes:
        said = {"--base": base, "--method": method, "--tokenizer": tokenizer}
        _check_alone(recipes[0], models, said, settings or [])
        return Path(recipes[0])
    from alnico.methods import methods
    from alnico.recipe import from_flags

    chosen = methods[method or "linear"]
    options = [name for option in context.command.params for name in option.opts]
    parameters = read_parameters(chosen, settings or [], options=options)
    return from_flags(models, chosen.name, base=base, parameters=parameters, tokenizer=tokenizer)


def read_compat(text: str | None) -> bool:
    """Whether the flag `--compat` asks for mergekit's very bits.

    Raises:
        RecipeError: If it names something else.
    """
    if text not in (None, "mergekit"):
        help = suggest(text, ["mergekit"], all_of_them="there is")
        raise RecipeError(f"--compat cannot be {text!r}", help=help)
    return text is not None


def read_size(text: str | None) -> int | None:
    """The bytes that `--shard-size` allows a file.

    Raises:
        RecipeError: If it is no size.
    """
    if text is None:
        return None
    from alnico.recipe.reading import size_of

    n_bytes = size_of(text)
    if n_bytes is None:
        raise RecipeError(f"--shard-size must be a size, got {text!r}", help="write it as 5GB")
    return n_bytes


def _check_alone(
    recipe: str,
    models: Sequence[str],
    said: Mapping[str, str | None],
    settings: Sequence[str],
) -> None:
    if len(models) > 1:
        more = next(model for model in models if model != recipe)
        raise RecipeError(
            f"{recipe} is a recipe, which names its models itself; here is {more!r}, too",
            help="give the recipe alone, or models without it",
        )
    names = [setting.partition("=")[0] for setting in settings]
    given = {**said, **{f"--{name.replace('_', '-')}": name for name in names}}
    for flag, value in given.items():
        if value:
            raise RecipeError(
                f"{flag} is for a merge without a recipe, and {recipe} says its own",
                help="write it into the recipe",
            )

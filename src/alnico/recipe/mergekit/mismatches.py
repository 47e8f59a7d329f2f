"""What keeps single tensors from being merged, gathered so that all of it is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from alnico.errors import IncompatibleModelsError, RecipeError
from alnico.merging.alike import SHOWN
from alnico.merging.steps import Form


@dataclass
class Mismatches:
    """What was found so far.

    Args:
        unset: Parameter and model -> tensors for which nothing sets it.
        wrong: What is wrong with a value -> the first tensor that has it.
        absent: Tensor -> the models that lack it.
        unlike: Tensor -> model -> what it is there.
        vocabulary: The same, of tensors that differ in their number of tokens alone.
    """

    unset: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    unlike: dict[str, dict[str, Form]] = field(default_factory=dict)
    vocabulary: dict[str, dict[str, Form]] = field(default_factory=dict)

    def check(self, method: str) -> None:
        """Go on only if nothing was found.

        Args:
            method: mergekit's, as messages call it.

        Raises:
            IncompatibleModelsError: If tensors do not fit together; it tells the rest, too.
            RecipeError: If a parameter is missing or wrong.
        """
        settings = [*self._missing(method), *(f"{text} ({at})" for text, at in self.wrong.items())]
        helps = ["set it under parameters, of one model or of all"] if self.unset else []
        models = [*self._absences(), *_differences("form", self.unlike)]
        if models:
            helps.append("merging needs one architecture and equal widths")
        if self.vocabulary:
            models += _differences("number of tokens", self.vocabulary)
            helps.append("join the vocabularies with tokenizer_source: union, or keep the base's")
        if models:
            raise IncompatibleModelsError("\n".join([*models, *settings]), help="; ".join(helps))
        if settings:
            raise RecipeError("\n".join(settings), help="; ".join(helps) or None)

    def _missing(self, method: str) -> list[str]:
        return [
            f"{method} needs {parameter}, and nothing sets it"
            f"{f' for {model}' if model else ''}: {_some(names)}"
            for (parameter, model), names in self.unset.items()
        ]

    def _absences(self) -> list[str]:
        by_models: dict[str, list[str]] = {}
        for name, lacking in self.absent.items():
            by_models.setdefault(" and ".join(dict.fromkeys(lacking)), []).append(name)
        return [f"not in {models}: {_some(names)}" for models, names in by_models.items()]


def _differences(what: str, unlike: Mapping[str, Mapping[str, Form]]) -> list[str]:
    if not unlike:
        return []
    width = max(map(len, list(unlike)[:SHOWN]))
    rows = [
        f"  {name:<{width}}    "
        + "    ".join(f"{label} {form.dtype} {list(form.shape)}" for label, form in forms.items())
        for name, forms in unlike.items()
    ]
    n = len(rows)
    return [f"the models differ in the {what} of {n} tensor{'s' if n > 1 else ''}", *_first(rows)]


def _first(rows: Sequence[str]) -> Iterable[str]:
    more = len(rows) - SHOWN
    return [*rows[:SHOWN], *([f"  ... {more} more"] if more > 0 else [])]


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f", ... {more} more" if more > 0 else "")

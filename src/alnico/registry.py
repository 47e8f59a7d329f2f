"""Names -> things, with suggestions for a misspelt one; optional packages, how to install one."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Generic, TypeVar

from alnico.errors import AlnicoError, MissingExtraError, UnknownNameError

T = TypeVar("T")

EXTRAS = {
    "polars": "tables",
    "pyarrow": "tables",
    "narwhals": "tables",
    "sklearn": "tables",
    "scipy": "tables",
    "threadpoolctl": "tables",
    "optuna": "search",
    "plotly": "report",
}


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` most likely meant, or None if nothing is near."""
    by_lower = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggest(name: str, known: Iterable[str], *, all_of_them: str = "known names are") -> str:
    """The help line for an unknown name: the likely one, else the first few of all of them."""
    names = list(known)
    near = closest(name, names)
    if near is not None:
        return f"did you mean {near!r}?"
    shown = ", ".join(names[:12]) + (f", ... {len(names) - 12} more" if len(names) > 12 else "")
    return f"{all_of_them} {shown}" if shown else "there are none"


def need(package: str) -> ModuleType:
    """Import an optional package, or say how to install it.

    Args:
        package: The name that is imported, e.g. `"polars"`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        extra = EXTRAS.get(package.split(".")[0])
        install = f"pip install 'alnico[{extra}]'" if extra else f"pip install {package}"
        raise MissingExtraError(
            f"this needs the package {package!r}, which is not installed", help=install
        ) from error


class Registry(Generic[T]):
    """Things of one kind by name, in the order they were added, e.g. merge methods.

    Args:
        kind: What is registered, in the singular, for error messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Register `thing` under a new name and give it back.

        Raises:
            AlnicoError: If the name is taken by another thing.
        """
        if self._things.get(name, thing) is not thing:
            raise AlnicoError(f"two {self.kind}s are named {name!r}", help="rename one of them")
        self._things[name] = thing
        return thing

    def __getitem__(self, name: str) -> T:
        try:
            return self._things[name]
        except KeyError:
            raise UnknownNameError(
                f"there is no {self.kind} {name!r}", help=suggest(name, self._things)
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def values(self) -> list[T]:
        """All things, in the order of their names."""
        return list(self._things.values())

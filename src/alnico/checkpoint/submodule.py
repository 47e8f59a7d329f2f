"""A part of a model, e.g. the language model in one that sees: to a merge a model as any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from alnico.checkpoint.header import SIZES
from alnico.checkpoint.locate import Place
from alnico.checkpoint.opened import Checkpoint
from alnico.errors import RecipeError, UnknownNameError
from alnico.registry import suggest

if TYPE_CHECKING:
    import numpy as np

_ENDS = ("_model", "_tower", "_encoder", "_decoder", "_backbone")
"""What the name of a part has behind the word that its config goes by."""

_ALSO = {"language": ("text", "llm"), "text": ("language", "llm"), "visual": ("vision",)}
"""The word in a part's name -> others that its config goes by."""

_DTYPES = ("dtype", "torch_dtype")
_TIE = "tie_word_embeddings"


class Submodule(Checkpoint):
    """The tensors of a model whose names begin alike, under the rest of their names.

    It has no files of its own: those of the whole are listed, which is to be closed as such.

    Args:
        whole: The model that it is a part of.
        pattern: How its tensors are called there, e.g. `language_model.*`.

    Raises:
        RecipeError: If `*` is not at the end of the pattern alone, or a tensor would have no name.
        UnknownNameError: If no tensor is called so.
    """

    def __init__(self, whole: Checkpoint, pattern: str) -> None:
        prefix = prefix_of(pattern)
        names = [name for name in whole.tensors if name.startswith(prefix)]
        if not names:
            near = suggest(pattern, _patterns(whole.tensors), all_of_them="its parts are")
            raise UnknownNameError(f"{whole.path} has no tensor {pattern!r}", help=near)
        if prefix in names:
            text = f"{whole.path}: of the name {prefix!r} nothing is left by {pattern!r}"
            raise RecipeError(text, help="let the pattern end in .*")
        label = named_part(whole.path, pattern)
        super().__init__(label, Place(Path(label), None), (), sources=(), closing=ExitStack())
        self.whole, self.prefix = whole, prefix
        self.folder, self.revision = whole.folder, whole.revision
        self.metadata = dict(whole.metadata)
        self.config = None if whole.config is None else _config_of_part(whole.config, prefix)
        self.tensors = {name.removeprefix(prefix): whole.tensors[name] for name in names}

    @property
    def files(self) -> tuple[Path, ...]:
        """Where the weights of the whole lie."""
        return self.whole.files

    def read(self, name: str, start: int, stop: int, out: np.ndarray) -> None:
        """Read entries [start, stop) of a tensor; see `Checkpoint.read`."""
        assert out.nbytes == (stop - start) * SIZES[self._entry(name).dtype]
        self.whole.read(self.prefix + name, start, stop, out)

    def check_unchanged(self) -> None:
        """See that the files of the whole were not changed; see `Checkpoint.check_unchanged`."""
        self.whole.check_unchanged()


def prefix_of(pattern: str) -> str:
    """What the names of a part's tensors begin with: `language_model.` of `language_model.*`.

    Raises:
        RecipeError: If `*` is not at the end, or it is not alone there.
    """
    prefix = pattern.removesuffix("*")
    if prefix == pattern:
        help = f"write {pattern.rstrip('.')}.*"
        raise RecipeError(
            f"{pattern!r} names no part of a model: it has no * at its end", help=help
        )
    if not prefix or any(sign in prefix for sign in "*?["):
        raise RecipeError(
            f"{pattern!r} names no part of a model",
            help="write what its tensors' names begin with, and one *: language_model.*",
        )
    return prefix


def named_part(path: str | Path, pattern: str) -> str:
    """What messages and records call a part of a model: `./vlm (language_model.*)`."""
    return f"{path} ({pattern})"


def _patterns(names: Iterable[str]) -> list[str]:
    """The parts that tensors are in, down to the first number of a layer."""
    found: dict[str, None] = {}
    for name in names:
        *modules, _ = name.split(".")
        for n, module in enumerate(modules, start=1):
            if module.isdecimal():
                break
            found[".".join([*modules[:n], "*"])] = None
    return sorted(found, key=lambda pattern: pattern.count("."))


def _config_of_part(config: Mapping[str, object], prefix: str) -> dict[str, object]:
    """The config that a model has for a part of its own; that of the whole if there is none.

    The whole says for its parts, too, what their dtype is and whether a head is tied.
    """
    found = dict(config)
    for module in filter(None, prefix.split(".")):
        inner = next(
            (found[key] for key in _keys(module) if isinstance(found.get(key), dict)), None
        )
        if isinstance(inner, dict):
            says = [*_DTYPES, *([_TIE] if "vocab_size" in inner else [])]
            found = inner | {key: found[key] for key in says if found.get(key) is not None}
    return found


def _keys(module: str) -> list[str]:
    """What the config of a part can be called, the likeliest first."""
    end = next((end for end in _ENDS if module.endswith(end)), "")
    word = module.removesuffix(end)
    return [f"{module}_config", module, *(f"{one}_config" for one in (word, *_ALSO.get(word, ())))]

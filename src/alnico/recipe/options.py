"""How a recipe is run, beyond what it says itself: the flags of `merge`, `run` and `plan`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from alnico.errors import RecipeError
from alnico.merging.execute import How
from alnico.recipe.parts import DTYPES, Recipe
from alnico.recipe.reading import MAX_SEED
from alnico.registry import suggest


@dataclass(frozen=True)
class Options:
    """What is asked for beside a recipe.

    Args:
        force: Whether an output that is there may be replaced; an input never is.
        resume: Whether to go on with what an interrupted run left.
        sha256: Whether large files are hashed with SHA-256, too.
        shard_size: The most bytes of one file of weights, above what the recipe says.
        dtype: Of the output, e.g. `bfloat16`, above what the recipe says.
        seed: Of methods that draw random numbers, above what the recipe says.
        integers_from: The model whose integer tensors are taken where models differ.
        exact: Whether a mergekit recipe gives mergekit's very bits.
        strict: Whether keys of a mergekit recipe that mean nothing are faults.
        stages: Where the results of named recipes are kept; None keeps none of them.
        how: On how many threads, on which device.
    """

    force: bool = False
    resume: bool = False
    sha256: bool = False
    shard_size: int | None = None
    dtype: str | None = None
    seed: int | None = None
    integers_from: str | None = None
    exact: bool = False
    strict: bool = False
    stages: Path | None = None
    how: How = field(default_factory=How)

    def check(self) -> None:
        """See that each value can be.

        Raises:
            RecipeError: If one cannot.
        """
        if self.dtype is not None and self.dtype not in DTYPES:
            help = suggest(self.dtype, DTYPES, all_of_them="it can be")
            raise RecipeError(f"dtype cannot be {self.dtype!r}", help=help)
        if self.seed is not None and not 0 <= self.seed < MAX_SEED:
            raise RecipeError(f"seed must be a whole number from 0 on, got {self.seed}")
        if self.how.threads < 0:
            text = f"threads must be 0, for one on each core, or more, got {self.how.threads}"
            raise RecipeError(text)
        _check_device(self.how.device)

    def above(self, recipe: Recipe) -> Recipe:
        """A recipe of alnico's own with what is asked for beside it.

        Raises:
            RecipeError: If something is asked that only mergekit's recipes have.
        """
        for flag, is_given in {"--compat": self.exact, "--strict": self.strict}.items():
            if is_given:
                help = f"leave out {flag}"
                raise RecipeError(f"{flag} is for mergekit's recipes, and this is none", help=help)
        if self.stages is not None:
            text = "--stages is for files of several recipes, and this is one recipe"
            raise RecipeError(text, help="leave out --stages")
        return replace(
            recipe,
            dtype=self.dtype or recipe.dtype,
            seed=recipe.seed if self.seed is None else self.seed,
            shard_size=self.shard_size or recipe.shard_size,
        )


def _check_device(device: str) -> None:
    """Refuse a device that torch has not; the CPU needs no torch."""
    if device == "cpu":
        return
    import torch

    kind, _, number = device.partition(":")
    known: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if kind not in known or not (number.isdecimal() or (not number and ":" not in device)):
        raise RecipeError(
            f"there is no kind of device {device!r}",
            help=suggest(device, ["cpu", *known], all_of_them="there are"),
        )
    if not known[kind]():
        raise RecipeError(f"torch finds no {kind} device here", help="--device cpu")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        n = torch.cuda.device_count()
        raise RecipeError(f"there is no {device}: {n} are here, from cuda:0 on")

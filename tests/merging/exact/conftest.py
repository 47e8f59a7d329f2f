"""mergekit as an oracle, and models that bring out where two computations part."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor

from alnico.errors import AlnicoError
from alnico.merging.exact import exact

Oracle: TypeAlias = Callable[[str, Sequence[Tensor], Tensor | None, dict[str, Any]], Tensor]
Compare: TypeAlias = Callable[..., int]

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
SHAPES = [(), (1,), (7,), (64,), (5, 1), (1, 9), (33, 17), (3, 4, 2, 2), (2, 300), (0,), (3, 0)]
KINDS = ["far", "near", "huge", "sparse", "equal", "opposite", "zero", "inf", "nan"]
INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(x: Tensor) -> Tensor:
    return x.contiguous().view(INTEGERS[x.element_size()])


def draw(kind: str, shape: tuple[int, ...], n_models: int, seed: int) -> list[Tensor]:
    """A base and models around it, in float64."""
    generator = torch.Generator().manual_seed(seed)
    size = {"near": 0.002, "huge": 1e4, "equal": 0.0}.get(kind, 0.05)
    base = torch.randn(shape, generator=generator, dtype=torch.float64) * 0.05
    noise = torch.randn(n_models, *shape, generator=generator, dtype=torch.float64) * size
    if kind == "sparse":
        noise *= torch.rand(noise.shape, generator=generator) < 0.3
    if kind == "opposite":
        base = base * 0
        noise[1:] = -noise[:1]
    models = [base, *(base + noise)]
    if kind == "zero":
        models[seed % len(models)] = base * 0
    if kind in ("inf", "nan") and base.numel():
        for model in models[seed % 2 :: 2]:
            model.view(-1)[seed % base.numel()] = float(kind) * (-1) ** seed
    return models


@pytest.fixture(scope="session")
def mergekit() -> Oracle:
    """One tensor of every model, merged by mergekit, in the dtype that comes in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = pytest.importorskip("mergekit.merge_methods")

    def merge(
        name: str, tensors: Sequence[Tensor], base: Tensor | None, parameters: dict[str, Any]
    ) -> Tensor:
        given = [*tensors] if base is None else [*tensors, base]
        index = 0 if name == "slerp" else None if base is None else len(tensors)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            merged = oracle.merge_tensors(given, name, parameters=parameters, base_index=index)
        assert isinstance(merged, Tensor)
        return merged.to(given[0].dtype)

    return merge


@pytest.fixture
def compare(mergekit: Oracle) -> Compare:
    """Compare bits, and the generator's state, over dtypes, shapes and kinds of models.

    Returns the number of merges that mergekit did not refuse; what it refuses, we must, too.
    """

    def over_all(
        name: str,
        shared: dict[str, Any],
        counts: Sequence[int],
        *,
        own: dict[str, Sequence[float]] | None = None,
        based: bool = True,
    ) -> int:
        n_merged = 0
        cases = itertools.product(DTYPES, SHAPES, range(2))
        kinds, n_models = itertools.cycle(KINDS), itertools.cycle(counts)
        for seed, (dtype, shape, _) in enumerate(cases):
            k = next(n_models)
            base, *tensors = (x.to(dtype) for x in draw(next(kinds), shape, k, seed))
            columns = {
                key: [values[(seed + i) % len(values)] for i in range(k)]
                for key, values in (own or {}).items()
            }
            arguments = (tensors, base if based else None, shared | columns)
            n_merged += _same(mergekit, name, *arguments, seed=seed)
        return n_merged

    return over_all


def _same(
    mergekit: Oracle,
    name: str,
    tensors: Sequence[Tensor],
    base: Tensor | None,
    parameters: dict[str, Any],
    *,
    seed: int,
) -> bool:
    where = f"{name} {parameters} {tuple(tensors[0].shape)} {tensors[0].dtype} seed {seed}"
    given = [bits(x).clone() for x in tensors]
    torch.manual_seed(seed)
    try:
        expected = mergekit(name, tensors, base, parameters)
    except (ValueError, IndexError, RuntimeError):
        with pytest.raises(AlnicoError):
            exact[name].function(tensors, base, parameters)
        return False
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    found = exact[name].function(tensors, base, parameters)
    assert torch.equal(bits(found.to(expected.dtype)), bits(expected)), where
    assert found.shape == expected.shape, where
    assert torch.equal(torch.get_rng_state(), state), f"{where}: other random numbers were drawn"
    unchanged = [torch.equal(bits(x), y) for x, y in zip(tensors, given, strict=True)]
    assert all(unchanged), f"{where}: an input was changed"
    return True

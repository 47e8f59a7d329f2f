from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from alnico.errors import RecipeError
from alnico.merging.exact import exact
from alnico.merging.exact.task_vectors import task_arithmetic, ties

WEIGHTS = [0.3, 0.5, 1, 0.0, -0.4, 0.7, 2]
DENSITIES = [0.0, 0.1, 0.3, 0.5, 0.9, 1.0, 0.01, 1.5]
SAFE = [0.2, 0.5, 0.3, 1.0, 0.7]
OWN: dict[str, dict[str, list[float]]] = {
    "task_arithmetic": {"density": DENSITIES},
    "ties": {"density": DENSITIES},
    "dare_linear": {"density": DENSITIES},
    "dare_ties": {"density": DENSITIES},
    "breadcrumbs": {"density": DENSITIES, "gamma": [0.01, 0.1, 0.0, 0.3]},
    "breadcrumbs_ties": {"density": DENSITIES, "gamma": [0.01, 0.1, 0.0, 0.3]},
    "della_linear": {"density": SAFE, "epsilon": [0.15, 0.05, 0.009, 0.0]},
    "della": {"density": SAFE, "epsilon": [0.15, 0.05, 0.009, 0.0]},
}
FLAGS = [(True, True, True, 0.5), (True, False, False, 1.0), (False, True, False, 1.7)]
FLAGS += [(False, False, True, 1.0)]
PLAIN: dict[str, Any] = {"normalize": False, "rescale": False, "int8_mask": False, "lambda": 1.0}


@pytest.mark.parametrize("name", OWN)
def test_it_has_mergekits_bits(compare: Callable[..., int], name: str) -> None:
    for normalize, rescale, int8_mask, scale in FLAGS:
        shared = {"normalize": normalize, "rescale": rescale, "int8_mask": int8_mask}
        own = OWN[name] | {"weight": WEIGHTS}
        n_merged = compare(name, shared | {"lambda": scale}, (1, 2, 3, 6), own=own)
        assert n_merged == 88 or (name.startswith("della") and n_merged > 35)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_long_rows_with_many_equal_magnitudes_have_mergekits_bits(
    mergekit: Callable[..., Tensor], name: str, dtype: torch.dtype
) -> None:
    base = (torch.randn(3, 4111) * 0.02).to(dtype)
    models = [(base + torch.randn(3, 4111) * 0.001).to(dtype) for _ in range(2)]
    parameters = PLAIN | {"rescale": True, "weight": [0.7, 0.5], "density": [0.5, 0.4]}
    if len(OWN[name]) > 1:
        parameters |= {"epsilon" if "della" in name else "gamma": [0.15, 0.01]}
    torch.manual_seed(3)
    expected = mergekit(name, models, base, parameters)
    torch.manual_seed(3)
    assert torch.equal(exact[name].function(models, base, parameters), expected)


@pytest.mark.parametrize("name", OWN)
def test_without_another_model_it_is_the_base(mergekit: Callable[..., Tensor], name: str) -> None:
    base = torch.randn(3, 4)
    none: dict[str, Any] = {key: [] for key in [*OWN[name], "weight"]}
    assert torch.equal(mergekit(name, [], base, PLAIN | none), base)
    assert exact[name].function([], base, PLAIN | none) is base


def _normalized(weight: list[float], deltas: list[Tensor], scale: float) -> Tensor:
    total = sum((w * d for w, d in zip(weight, deltas, strict=True)), torch.zeros(()))
    return total / sum(weight) * scale


def test_task_arithmetic_is_its_formula() -> None:
    base, *deltas = torch.randn(4, 5, 6, dtype=torch.float64)
    models = [base + d for d in deltas]
    weight = [0.5, 1.0, 2.0]
    parameters = PLAIN | {"normalize": True, "lambda": 0.7, "weight": weight}
    found = task_arithmetic(models, base, parameters)
    torch.testing.assert_close(found, base + _normalized(weight, deltas, 0.7))


def test_weights_that_cancel_are_not_divided_by() -> None:
    base, *models = torch.randn(3, 5)
    parameters = PLAIN | {"weight": [1.0, -1.0]}
    found = task_arithmetic(models, base, parameters | {"normalize": True})
    assert torch.equal(found, task_arithmetic(models, base, parameters))


def test_ties_is_the_papers_loop_over_entries() -> None:
    base, *deltas = torch.randn(4, 30, dtype=torch.float64)
    weight, density = [1.0, 0.5, 2.0], [0.5, 0.3, 1.0]
    trimmed = []
    for delta, share in zip(deltas, density, strict=True):
        smallest = sorted(delta.abs().tolist(), reverse=True)[int(share * 30) - 1]
        trimmed.append([x if abs(x) >= smallest else 0.0 for x in delta.tolist()])
    expected = []
    for column in zip(*trimmed, strict=True):
        sign = 1 if sum(w * x for w, x in zip(weight, column, strict=True)) >= 0 else -1
        agree = [(w, x) for w, x in zip(weight, column, strict=True) if sign * x > 0]
        expected.append(sum(w * x for w, x in agree) / sum(w for w, _ in agree) if agree else 0)
    parameters = PLAIN | {"normalize": True, "weight": weight, "density": density}
    found = ties([base + d for d in deltas], base, parameters) - base
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_what_is_missing_is_named() -> None:
    tensor = torch.ones(2)
    with pytest.raises(RecipeError, match="dare_ties needs a base model"):
        exact["dare_ties"].function([tensor], None, PLAIN)
    parameters = PLAIN | {"weight": [1.0], "density": [0.5]}
    with pytest.raises(RecipeError, match="gamma is not given"):
        exact["breadcrumbs"].function([tensor], tensor, parameters)
    with pytest.raises(RecipeError, match="lambda is not given"):
        parameters.pop("lambda")
        exact["ties"].function([tensor], tensor, parameters)

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from alnico.errors import IncompatibleModelsError
from alnico.merging.exact.spheres import CHUNK, karcher, multislerp, nuslerp, slerp

WEIGHTS = {"weight": [0.3, 0.5, 1, 0.0, -0.4, 0.7]}
ONE_VECTOR = {"nuslerp_flatten": True, "nuslerp_row_wise": False}


@pytest.mark.parametrize("t", [0, 0.2, 0.5, 1.0, 1.3])
def test_slerp_has_mergekits_bits(compare: Callable[..., int], t: float) -> None:
    assert compare("slerp", {"t": t}, (2,), based=False) == 88


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_slerp_of_several_chunks_has_mergekits_bits(
    mergekit: Callable[..., Tensor], dtype: torch.dtype
) -> None:
    a = torch.randn(2 * CHUNK + 5000).mul_(0.05)
    pair = [a.to(dtype), torch.randn_like(a).mul_(0.02).add_(a).to(dtype)]
    assert torch.equal(slerp(pair, None, {"t": 0.3}), mergekit("slerp", pair, None, {"t": 0.3}))


@pytest.mark.parametrize("flatten", [True, False])
@pytest.mark.parametrize("row_wise", [True, False])
@pytest.mark.parametrize("based", [True, False])
def test_nuslerp_has_mergekits_bits(
    compare: Callable[..., int], flatten: bool, row_wise: bool, based: bool
) -> None:
    shared = {"nuslerp_flatten": flatten, "nuslerp_row_wise": row_wise}
    assert compare("nuslerp", shared, (2,), own=WEIGHTS, based=based) == 88


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("based", [True, False])
def test_multislerp_has_mergekits_bits(
    compare: Callable[..., int], normalize: bool, based: bool
) -> None:
    shared = {"normalize_weights": normalize, "eps": 1e-3 if based else 1e-8}
    assert compare("multislerp", shared, (1, 2, 3, 6), own=WEIGHTS, based=based) > 65


@pytest.mark.parametrize("max_iter", [0, 1, 10])
@pytest.mark.parametrize("tol", [1e-9, 1e-2])
def test_karcher_has_mergekits_bits(compare: Callable[..., int], max_iter: int, tol: float) -> None:
    shared = {"max_iter": max_iter, "tol": tol}
    assert compare("karcher", shared, (1, 2, 3, 4, 6), based=False) == 88


def _unit(x: Tensor) -> Tensor:
    return x / x.norm()


def test_slerp_between_unit_quaternions_is_scipys() -> None:
    for seed, t in itertools.product(range(5), (0.0, 0.3, 1.0)):
        pair = np.random.default_rng(seed).normal(size=(2, 4))
        pair /= np.linalg.norm(pair, axis=1, keepdims=True)
        if pair[0] @ pair[1] < 0:  # a rotation is two quaternions; scipy takes the nearer one
            pair[1] *= -1
        expected = Slerp([0, 1], Rotation.from_quat(pair))(t).as_quat()
        found = slerp([*torch.from_numpy(pair)], None, {"t": t}).numpy()
        np.testing.assert_allclose(found * np.sign(found @ expected), expected, atol=1e-9)


def test_slerp_joins_nearly_parallel_tensors_by_a_straight_line() -> None:
    a = torch.randn(5, 4)
    torch.testing.assert_close(slerp([a, 1.01 * a], None, {"t": 0.5}), 1.005 * a)
    torch.testing.assert_close(slerp([a, -a], None, {"t": 0.25}), 0.5 * a)


def test_nuslerp_of_rows_is_slerp_of_each_row() -> None:
    a, b = torch.randn(2, 4, 9, dtype=torch.float64)
    weight = {"weight": [0.6, 0.2]}
    rows = {"nuslerp_flatten": False, "nuslerp_row_wise": False}
    found = nuslerp([a, b], None, rows | weight)
    expected = [slerp([x, y], None, {"t": 0.25}) for x, y in zip(a, b, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected))
    columns = {"nuslerp_flatten": False, "nuslerp_row_wise": True}
    found = nuslerp([a.T, b.T], None, columns | weight)
    torch.testing.assert_close(found, torch.stack(expected).T)


def test_nuslerp_with_a_base_joins_the_changes() -> None:
    base, a, b = torch.randn(3, 4, 9, dtype=torch.float64)
    parameters = ONE_VECTOR | {"weight": [0.5, 0.5]}
    found = nuslerp([base + a, base + b], base, parameters)
    torch.testing.assert_close(found, base + slerp([a, b], None, {"t": 0.5}))
    assert torch.equal(
        nuslerp([a, b], None, ONE_VECTOR | {"weight": [1.0, -1.0]}),
        nuslerp([a, b], None, parameters),
    )


def test_the_midpoint_of_two_directions_is_slerps() -> None:
    a, b = (_unit(x) for x in torch.randn(2, 30, dtype=torch.float64))
    middle = slerp([a, b], None, {"t": 0.5})
    parameters = {"weight": [1.0, 1.0], "normalize_weights": True, "eps": 1e-12}
    torch.testing.assert_close(multislerp([a, b], None, parameters), middle)
    found = karcher([a, b], None, {"max_iter": 50, "tol": 1e-12})
    torch.testing.assert_close(found, middle)


def test_at_the_karcher_mean_the_ways_to_all_directions_cancel() -> None:
    units = [_unit(x) for x in torch.randn(5, 20, dtype=torch.float64) + 0.5]
    scales = [1.0, 2.0, 3.0, 4.0, 5.0]
    tensors = [x * scale for x, scale in zip(units, scales, strict=True)]
    merged = karcher(tensors, None, {"max_iter": 200, "tol": 1e-12})
    assert merged.norm().item() == pytest.approx(3.0)
    mean = _unit(merged)
    ways = [(x - (x @ mean) * mean) * ((x @ mean).acos() / (x @ mean).acos().sin()) for x in units]
    assert torch.stack(ways).sum(0).norm().item() < 1e-8


def test_karcher_of_tensors_without_length_is_zero() -> None:
    parameters = {"max_iter": 5, "tol": 1e-5}
    assert karcher([torch.zeros(3)] * 2, None, parameters).tolist() == [0.0] * 3


def test_multislerp_says_when_directions_cancel() -> None:
    directions = torch.tensor([[0.0, 1.0], [0.75**0.5, -0.5], [-(0.75**0.5), -0.5]])
    parameters = {"weight": [1.0] * 3, "normalize_weights": True, "eps": 1e-6}
    with pytest.raises(IncompatibleModelsError, match="cancel each other"):
        multislerp([*directions], None, parameters)


def test_a_single_model_is_given_back() -> None:
    tensor, base = torch.randn(2, 4)
    parameters = {"weight": [0.3], "normalize_weights": True, "eps": 1e-8}
    assert multislerp([tensor], base, parameters) is tensor
    assert karcher([tensor], None, {"max_iter": 5, "tol": 1e-5}) is tensor


def test_slerp_of_three_models_is_refused() -> None:
    with pytest.raises(IncompatibleModelsError, match="slerp merges 2 models, got 3"):
        slerp([torch.ones(2)] * 3, None, {"t": 0.5})

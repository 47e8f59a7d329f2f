"""The contract of a merge method; call `check_method` on one of your own in your tests."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from alnico.merging import merge_states
from alnico.methods import Method, methods
from alnico.tensors import noise
from alnico.testing.readings import Dtypes, check_readings

SHAPES = ((), (7,), (4, 6), (2, 3, 4))
MIXED = Dtypes(("BF16", "F16", "F32"), base="F32", output="BF16")
NAME = "x"
"""What the tensors are called: random numbers follow from it."""


def check_method(*chosen: str | Method) -> None:
    """Check that merge methods keep the contract of all merge methods.

    Shape and dtype are kept, also of bfloat16, of scalars and of tensors without entries; inputs
    are not changed; NaN in a model is not hidden; the result is equal to the bit on repeat, and in
    another process with another hash seed; `symmetric` and `idempotent` are claimed if and only if
    they are true; a gradient reaches `weight`; read as a loop over blocks, if it can be, it makes
    what it makes in torch (`check_readings`, which tries more of that).

    Args:
        *chosen: Merge methods, or their names. Their defining modules must be importable, or be
            files. Several at once share the other process, which takes a second to start.

    Raises:
        AssertionError: If one breaks the contract; the message says which, and how.
    """
    given = [methods[method] if isinstance(method, str) else method for method in chosen]
    for method in given:
        for shape in (*SHAPES, (0,), (3, 0)):
            _check_form(method, _stack(method, shape))
        _check_gradient(method)
        _check_low_precision(method)
        _check_claims(method)
        _check_nan(method)
        for dtypes in ("F32", "BF16", "F16", MIXED):
            check_readings(method, dtypes=dtypes, compiled=False)
    _check_other_process(given)


def digest(method: Method) -> str:
    """The sha256 of what a method makes of fixed inputs, to compare it between processes."""
    found = hashlib.sha256()
    for shape in SHAPES:
        found.update(_merge(method, _stack(method, shape)).contiguous().numpy().tobytes())
    return found.hexdigest()


def load_method(name: str, module: str, file: str) -> Method:
    """Find a registered method after importing the module, or else running the file, it is in."""
    try:
        importlib.import_module(module)
    except ImportError:
        spec = importlib.util.spec_from_file_location(Path(file).stem, file)
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return methods[name]


def _stack(method: Method, shape: tuple[int, ...]) -> Tensor:
    """Values of some models, [k, ...]: the same in every process."""
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn((method.models or max(3, method.at_least), *shape), generator=generator)


def _merge(method: Method, stack: Tensor, weight: Tensor | None = None) -> Tensor:
    """What a method makes of a stack, and of a base of zeros if it asks for one."""
    base = torch.zeros_like(stack[0]) if method.asks_base else None
    with noise.keyed(0, NAME):
        if weight is None:
            return method(stack, base=base)
        return method(stack, base=base, weight=weight)


def _expect(kept: bool, method: Method, fault: str) -> None:
    if not kept:
        raise AssertionError(f"{method.name} {fault}")


def _check_form(method: Method, stack: Tensor) -> None:
    for given in (stack, stack.double()):
        before = given.clone()
        merged = _merge(method, given)
        where = f"of {list(given.shape)} {given.dtype}"
        _expect(torch.equal(given, before), method, f"changes its input {where}")
        _expect(merged.shape == given.shape[1:], method, f"makes {list(merged.shape)} {where}")
        _expect(merged.dtype == given.dtype, method, f"makes {merged.dtype} {where}")
        _expect(bool(merged.isfinite().all()), method, f"makes what is not finite {where}")
        _expect(
            _same_bits(merged, _merge(method, given)), method, f"does not repeat itself {where}"
        )


def _check_nan(method: Method) -> None:
    for model in range(len(_stack(method, (4, 6)))):
        stack = _stack(method, (4, 6))
        stack[model, 1, 2] = torch.nan
        _expect(bool(_merge(method, stack)[1, 2].isnan()), method, "hides NaN in a model")


def _check_low_precision(method: Method) -> None:
    states = [{NAME: x.to(torch.bfloat16), "s": x[0, 0]} for x in _stack(method, (4, 6))]
    base = {name: tensor * 0 for name, tensor in states[0].items()}
    merged = merge_states(states, method, base=base if method.needs_base else None)
    exact = _merge(method, torch.stack([state[NAME].float() for state in states]))
    _expect(merged[NAME].dtype == torch.bfloat16, method, "does not keep bfloat16")
    _expect(torch.equal(merged[NAME], exact.to(torch.bfloat16)), method, "is wrong in bfloat16")
    _expect(merged["s"].shape == (), method, "does not keep a scalar")


def _check_claims(method: Method) -> None:
    stacks = [_stack(method, shape) for shape in SHAPES]
    symmetric = all(
        _close(_merge(method, stack), _merge(method, stack.roll(shift, 0)))
        and _close(_merge(method, stack), _merge(method, stack.flip(0)))
        for stack in stacks
        for shift in range(1, len(stack))
    )
    idempotent = all(
        _close(_merge(method, stack[:1].expand_as(stack).clone()), stack[0]) for stack in stacks
    )
    for claim, claimed, true in (
        ("symmetric", method.symmetric, symmetric),
        ("idempotent", method.idempotent, idempotent),
    ):
        _expect(true or not claimed, method, f"claims to be {claim} and is not")
        _expect(claimed or not true, method, f"is {claim} and does not say so: {claim}=True")


def _check_gradient(method: Method) -> None:
    own = [parameter for parameter in method.parameters if parameter.name == "weight"]
    if not own or not own[0].per_model:
        return
    reached = False
    for stack in (_stack(method, shape) for shape in SHAPES):
        weight = torch.linspace(0.5, 1.5, len(stack)).requires_grad_()
        before = stack.clone()
        merged = _merge(method, stack, weight)
        _expect(torch.equal(stack, before), method, "changes its input")
        _expect(merged.requires_grad, method, "lets no gradient reach weight")
        towards = torch.linspace(1, 2, merged.numel()).reshape(merged.shape)
        (slope,) = torch.autograd.grad((merged * towards).sum(), weight)
        finite = bool(slope.isfinite().all())
        _expect(finite, method, "has a gradient in weight that is not finite")
        reached = reached or bool(slope.any())
    _expect(reached, method, "lets no gradient reach weight")


def _check_other_process(given: Sequence[Method]) -> None:
    script = (
        "import json, sys; from alnico.testing.methods import digest, load_method; "
        "print(*[digest(load_method(*place)) for place in json.loads(sys.argv[1])])"
    )
    places = [(m.name, m.function.__module__, inspect.getfile(m.function)) for m in given]
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    ran = subprocess.run(
        [sys.executable, "-c", script, json.dumps(places)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    if ran.returncode != 0:
        names = ", ".join(method.name for method in given)
        raise AssertionError(f"{names} cannot be run in another process:\n{ran.stderr}")
    for method, found in zip(given, ran.stdout.split(), strict=True):
        _expect(found == digest(method), method, "makes other values in another process")


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-6)

"""The contract of a merge method; call `check_method` on one of your own in your tests."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from alnico.merging import merge_states
from alnico.methods import Method, methods

SHAPES = ((), (7,), (4, 6), (2, 3, 4))


def check_method(method: str | Method) -> None:
    """Check that a merge method keeps the contract of all merge methods.

    Shape and dtype are kept, also of bfloat16 and of scalars; inputs are not changed; the result
    is equal to the bit on repeat, and in another process with another hash seed; `symmetric` and
    `idempotent` are claimed if and only if they are true; a gradient reaches `weight`.

    Args:
        method: A merge method, or its name. Its defining module must be importable, or be a file.

    Raises:
        AssertionError: If it breaks the contract; the message says how.
    """
    chosen = methods[method] if isinstance(method, str) else method
    for shape in SHAPES:
        _check_form(chosen, _stack(chosen, shape))
        _check_gradient(chosen, _stack(chosen, shape))
    _check_low_precision(chosen)
    _check_claims(chosen)
    _check_other_process(chosen)


def digest(method: Method) -> str:
    """The sha256 of what a method makes of fixed inputs, to compare it between processes."""
    found = hashlib.sha256()
    for shape in SHAPES:
        found.update(method(_stack(method, shape)).contiguous().numpy().tobytes())
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
    return torch.randn((method.models or 3, *shape), generator=generator)


def _expect(kept: bool, method: Method, fault: str) -> None:
    if not kept:
        raise AssertionError(f"{method.name} {fault}")


def _check_form(method: Method, stack: Tensor) -> None:
    for given in (stack, stack.double()):
        before = given.clone()
        merged = method(given)
        where = f"of {list(given.shape)} {given.dtype}"
        _expect(torch.equal(given, before), method, f"changes its input {where}")
        _expect(merged.shape == given.shape[1:], method, f"makes {list(merged.shape)} {where}")
        _expect(merged.dtype == given.dtype, method, f"makes {merged.dtype} {where}")
        _expect(_same_bits(merged, method(given)), method, f"does not repeat itself {where}")


def _check_low_precision(method: Method) -> None:
    states = [{"x": x.to(torch.bfloat16), "s": x[0, 0]} for x in _stack(method, (4, 6))]
    base = {"x": states[0]["x"] * 0, "s": states[0]["s"] * 0}
    merged = merge_states(states, method, base=base if method.sees == "deltas" else None)
    exact = method(torch.stack([state["x"].float() for state in states]))
    _expect(merged["x"].dtype == torch.bfloat16, method, "does not keep bfloat16")
    _expect(torch.equal(merged["x"], exact.to(torch.bfloat16)), method, "is wrong in bfloat16")
    _expect(merged["s"].shape == (), method, "does not keep a scalar")


def _check_claims(method: Method) -> None:
    stacks = [_stack(method, shape) for shape in SHAPES]
    symmetric = all(
        _close(method(stack), method(stack.roll(shift, 0)))
        and _close(method(stack), method(stack.flip(0)))
        for stack in stacks
        for shift in range(1, len(stack))
    )
    idempotent = all(
        _close(method(stack[:1].expand_as(stack).clone()), stack[0]) for stack in stacks
    )
    for claim, claimed, true in (
        ("symmetric", method.symmetric, symmetric),
        ("idempotent", method.idempotent, idempotent),
    ):
        _expect(true or not claimed, method, f"claims to be {claim} and is not")
        _expect(claimed or not true, method, f"is {claim} and does not say so: {claim}=True")


def _check_gradient(method: Method, stack: Tensor) -> None:
    own = [parameter for parameter in method.parameters if parameter.name == "weight"]
    if not own or not own[0].per_model:
        return
    weight = torch.linspace(0.5, 1.5, len(stack)).requires_grad_()
    before = stack.clone()
    merged = method(stack, weight=weight)
    _expect(torch.equal(stack, before), method, "changes its input")
    _expect(merged.requires_grad, method, "lets no gradient reach weight")
    towards = torch.linspace(1, 2, merged.numel()).reshape(merged.shape)
    (slope,) = torch.autograd.grad((merged * towards).sum(), weight)
    _expect(bool(slope.isfinite().all()), method, "has a gradient in weight that is not finite")
    _expect(bool(slope.any()), method, "lets no gradient reach weight")


def _check_other_process(method: Method) -> None:
    file = inspect.getfile(method.function)
    script = (
        "import sys; from alnico.testing.methods import digest, load_method; "
        "sys.stdout.write(digest(load_method(*sys.argv[1:])))"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    ran = subprocess.run(
        [sys.executable, "-c", script, method.name, method.function.__module__, file],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
    )
    _expect(ran.returncode == 0, method, f"cannot be run in another process:\n{ran.stderr}")
    _expect(ran.stdout == digest(method), method, "makes other values in another process")


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-6)

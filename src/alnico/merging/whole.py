"""Methods that need whole tensors: played in torch, on the CPU or on another device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from alnico.errors import AlnicoError, IncompatibleModelsError
from alnico.merging.plugin import explain, file_of
from alnico.merging.steps import Exact, Input, Step
from alnico.methods import Method
from alnico.methods._method import Value
from alnico.tensors import noise

if TYPE_CHECKING:
    from torch import Tensor


def merge_whole(step: Step, read: Callable[[Input], Tensor], *, seed: int) -> Tensor:
    """Merge one tensor of every model.

    Args:
        step: Of a plan, with a method.
        read: Gives a tensor of a model, on the device to compute on.
        seed: Of random numbers; an `Exact` method draws from torch's own generator.

    Returns:
        In the dtype of the output.

    Raises:
        IncompatibleModelsError: If the method gives no tensor of the output's shape.
        AlnicoError: As the method does.
    """
    from alnico.checkpoint.reader import DTYPES

    tensors = [read(each) for each in step.inputs]
    base = None if step.base is None else read(step.base)
    method = step.method
    assert method is not None
    if isinstance(method, Exact):
        found = _play_exact(method, step, tensors, base)
    else:
        with noise.keyed(seed, step.name):
            found = play(method, step.parameters, tensors, base, name=step.name)
    if tuple(found.shape) != step.form.shape:
        raise IncompatibleModelsError(
            f"{method.name} made {list(found.shape)} of {step.name}, which is "
            f"{list(step.form.shape)}",
            help="a method takes [k, ...] and gives [...]: correct the method",
        )
    return found.to(DTYPES[step.form.dtype])


def play(
    method: Method,
    parameters: Mapping[str, Value],
    tensors: Sequence[Tensor],
    base: Tensor | None,
    *,
    name: str,
) -> Tensor:
    """What a method makes of one tensor of every model, in float32 or wider; base back on.

    Raises:
        RecipeError: If somebody's own method raises; with the line.
        AlnicoError: As the method does.
    """
    import torch

    wide = torch.float32
    for tensor in [*tensors, *([] if base is None else [base])]:
        if tensor.dtype.itemsize > 1:  # those of one byte are promoted to nothing
            wide = torch.promote_types(wide, tensor.dtype)
    stack = torch.stack([tensor.to(wide) for tensor in tensors])
    root = None if base is None else base.to(wide)
    takes_off = root is not None and method.sees != "weights"
    seen = stack - root if root is not None and takes_off else stack
    try:
        found = method(seen, base=root if method.asks_base else None, **parameters)
    except Exception as error:
        file = file_of(method)
        if file is None or isinstance(error, AlnicoError):
            raise
        help = f"{method.name} raised it on {name} {list(stack.shape[1:])}"
        raise explain(file, error, help=help) from error
    if not isinstance(found, torch.Tensor) or found.shape != stack.shape[1:]:
        shape = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise IncompatibleModelsError(
            f"{method.name} made {shape} of {name}, which is {list(stack.shape[1:])}",
            help="a method takes [k, ...] and gives [...]: correct the method",
        )
    return found + root if root is not None and takes_off else found


def _play_exact(
    method: Exact, step: Step, tensors: Sequence[Tensor], base: Tensor | None
) -> Tensor:
    import torch

    from alnico.checkpoint.reader import DTYPES

    everything = [*tensors, *([] if base is None else [base])]
    dtype = everything[0].dtype
    for each in everything:
        dtype = torch.promote_types(dtype, each.dtype)
    work = dtype if step.work_dtype is None else DTYPES[step.work_dtype]
    root = None if base is None else base.to(work)
    return method.function([tensor.to(work) for tensor in tensors], root, step.parameters)

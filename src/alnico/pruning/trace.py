"""What happens to every tensor on the way through a module: calls of known layers, and functions.

The layers are followed by hooks, everything between them by a torch function mode, so that a use
that no layer shows (a sum, a concatenation, a weight read directly) is seen too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from alnico.types import Batch


@dataclass(frozen=True)
class Call:
    """One call of a layer or a function.

    Args:
        made_by: The function; or the layer, if it is one of those that are followed.
        inputs: The tensors it was given; a layer's own weights are not among them.
        output: What it gave back.
        keywords: Names of the arguments that were given by name.
    """

    made_by: nn.Module | Callable[..., Any]
    inputs: tuple[Tensor, ...]
    output: object
    keywords: tuple[str, ...] = ()


@dataclass
class Trace:
    """All calls of one run of a module, by what they were made by and given.

    Tensors are told apart by identity; the trace keeps them alive, so that no identity comes twice.
    """

    calls: list[Call] = field(default_factory=list)
    _uses: defaultdict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))
    _by: defaultdict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))

    def add(self, call: Call) -> None:
        """Remember a call."""
        self.calls.append(call)
        self._by[id(call.made_by)].append(call)
        for tensor in {id(t): t for t in call.inputs}:
            self._uses[tensor].append(call)

    def uses(self, tensor: Tensor) -> list[Call]:
        """The calls that a tensor was given to."""
        return self._uses.get(id(tensor), [])

    def made_by(self, layer: nn.Module) -> list[Call]:
        """The calls of a layer."""
        return self._by.get(id(layer), [])


def trace(module: nn.Module, inputs: Batch, known: tuple[type[nn.Module], ...]) -> Trace:
    """Run a module once and write down what happens.

    Args:
        module: Any.
        inputs: One batch.
        known: Types of layers that count as one call each; what is inside of others is seen.
    """
    found = Trace()
    mode = _Functions(found)

    def enter(*_: object) -> None:
        mode.depth += 1

    def leave(
        layer: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object
    ) -> None:
        mode.depth -= 1
        if mode.depth == 0:
            found.add(Call(layer, tuple(_tensors([args, kwargs])), output, tuple(kwargs)))

    handles = []
    for layer in module.modules():
        if type(layer) in known:
            handles.append(layer.register_forward_pre_hook(enter))
            handles.append(layer.register_forward_hook(leave, with_kwargs=True))
    try:
        with mode:
            module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


class _Functions(TorchFunctionMode):
    """Writes down every function that is called outside of the known layers."""

    def __init__(self, found: Trace) -> None:
        super().__init__()
        self.depth = 0
        self._found = found

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        output = func(*args, **(kwargs or {}))
        if self.depth == 0 and not _reads_form(func, output):
            self._found.add(Call(func, tuple(_tensors([args, kwargs or {}])), output))
        return output


_FORM = {Tensor.size, Tensor.dim, Tensor.numel, Tensor.__len__, Tensor.is_floating_point}


def _reads_form(func: Callable[..., Any], output: object) -> bool:
    """Whether a function says no more of a tensor than its shape, type or place."""
    is_property = getattr(func, "__name__", "") == "__get__"
    return func in _FORM or (is_property and not isinstance(output, Tensor))


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)

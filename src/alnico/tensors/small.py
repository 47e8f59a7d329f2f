"""A value of a few numbers that speaks like a tensor: what a method knows while it is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_FUNCTIONS: dict[str, Callable[[np.ndarray], Any]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "cos": np.cos,
    "exp": np.exp,
    "isfinite": np.isfinite,
    "log": np.log,
    "sign": lambda x: np.nan_to_num(np.sign(x)),  # 0 of NaN
    "sin": np.sin,
    "sqrt": np.sqrt,
    "square": np.square,
}
_METHODS = frozenset(["all", "any", "diagonal", "flatten", "max", "mean", "min", "reshape", "sum"])


class Small:
    """A number or an array of a few, such as a Gram matrix or a coefficient of each model."""

    __slots__ = ("a",)

    def __init__(self, a: object) -> None:
        self.a: Any = np.asarray(a)

    def __getattr__(self, name: str) -> Any:
        if name in _FUNCTIONS:
            return lambda: Small(_quiet(_FUNCTIONS[name], self.a))
        if name in _METHODS:
            return lambda *args, **kwargs: Small(getattr(self.a, name)(*args, **kwargs))
        raise AttributeError(f"a small value has no {name!r} while a method is traced")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths."""
        return tuple(self.a.shape)

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def dtype(self) -> str:
        """The precision, to be given to `to`."""
        return str(self.a.dtype)

    @property
    def mT(self) -> Small:
        """The transpose of the last two axes."""
        return Small(np.swapaxes(self.a, -1, -2))

    def numel(self) -> int:
        """How many numbers."""
        return int(self.a.size)

    def to(self, dtype: str) -> Small:
        """The same in another precision."""
        return Small(self.a.astype(dtype))

    def float(self) -> Small:
        """The same in float32."""
        return self.to("float32")

    def double(self) -> Small:
        """The same in float64."""
        return self.to("float64")

    def clamp(self, min: Any = None, max: Any = None) -> Small:
        """Between two limits."""
        return Small(np.clip(self.a, min, max))

    def maximum(self, other: object) -> Small:
        """The larger of each two."""
        return Small(np.maximum(self.a, _plain(other)))

    def minimum(self, other: object) -> Small:
        """The smaller of each two."""
        return Small(np.minimum(self.a, _plain(other)))

    def where(self, condition: Any, other: Any) -> Any:
        """This where it holds, and the other elsewhere."""
        for value in (condition, other):
            if hasattr(value, "lifted"):
                return value.lifted(self).where(condition, other)
        return Small(np.where(_plain(condition), self.a, _plain(other)).astype(self.a.dtype))

    def tolist(self) -> Any:
        """As plain numbers."""
        return self.a.tolist()

    def item(self) -> Any:
        """The one number."""
        return self.a.item()

    def __getitem__(self, index: Any) -> Small:
        return Small(self.a[index])

    def __len__(self) -> int:
        return len(self.a)

    def __bool__(self) -> bool:
        return bool(self.a)

    def __float__(self) -> Any:
        return float(self.a.reshape(()))

    def __neg__(self) -> Small:
        return Small(-self.a)

    def __invert__(self) -> Small:
        return Small(~self.a)


def _quiet(function: Callable[..., Any], *args: Any) -> Any:
    """What it gives; NaN and infinity come without a warning, as they do in torch."""
    with np.errstate(all="ignore"):
        return function(*args)


def _plain(value: Any) -> Any:
    return value.a if isinstance(value, Small) else value


def _operator(name: str) -> Callable[[Small, Any], Any]:
    def operate(self: Small, other: Any) -> Any:
        if hasattr(other, "lifted"):
            return NotImplemented
        return Small(_quiet(getattr(self.a, name), _plain(other)))

    return operate


for _name in ("add", "sub", "mul", "truediv", "matmul", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Small, f"__{_name}__", _operator(f"__{_name}__"))
for _name in ("and", "or", "radd", "rsub", "rmul", "rtruediv"):
    setattr(Small, f"__{_name}__", _operator(f"__{_name}__"))

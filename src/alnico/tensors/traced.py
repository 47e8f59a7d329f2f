"""The second reading of a merge method: a stack without data that writes down what is done to it.

A `Traced` stands for [k, n] or [n] and has the method names of a tensor. When a method asks
something of the whole tensor, `Ask` leaves it; whoever plays it finds the answer and plays the
method again, from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from alnico.tensors.tape import NotStreamableError, Question, Tape

_UNARY = frozenset(["abs", "sign", "sqrt"])
_BINARY = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}
_COMPARISONS = frozenset(["<", "<=", ">", ">=", "==", "!="])
_FUNCTIONS = frozenset(
    ["abs", "sign", "sqrt", "square", "sum", "mean", "clamp", "maximum", "minimum"]
)


class Traced:
    """A value of every entry that is not there.

    Args:
        tape: Where is written what is done to it.
        step: Which step made it.
    """

    __slots__ = ("step", "tape")
    dtype = "float32"

    def __init__(self, tape: Tape, step: int) -> None:
        self.tape, self.step = tape, step

    @property
    def per_model(self) -> bool:
        """Whether it is [k, n], not [n]."""
        return self.tape.steps[self.step].per_model

    @property
    def shape(self) -> tuple[int, ...]:
        """[k, n] or [n]: whatever axes the tensor has, they are one here."""
        return (self.tape.k, self.tape.n) if self.per_model else (self.tape.n,)

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    def lifted(self, value: object) -> Traced:
        """A number, or one per model, beside this."""
        return value if isinstance(value, Traced) else Traced(self.tape, self.tape.lift(value))

    def apply(self, op: str, *others: object) -> Traced:
        """A step on this and others, entry by entry."""
        values = [self, *map(self.lifted, others)]
        if not _is_defined(op, [self.tape.is_truth(value.step) for value in values]):
            raise NotStreamableError(f"{op} of values that are true or false, or that are not")
        own = any(value.per_model for value in values)
        return Traced(
            self.tape, self.tape.put(op, *(value.step for value in values), per_model=own)
        )

    def ask(self, what: Question, others: Sequence[Traced] = (), n_kept: Any = ()) -> Any:
        """The answer to a question about the whole of this and others."""
        return self.tape.ask(what, (self.step, *(other.step for other in others)), n_kept)

    def sum(self, dim: int) -> Traced:
        """The sum over models."""
        if dim != 0 or not self.per_model:
            raise NotStreamableError(f"sum({dim})")
        return Traced(self.tape, self.tape.put("total", self.step, per_model=False))

    def mean(self, dim: int) -> Traced:
        """The mean over models."""
        return self.sum(dim).apply("/", float(self.tape.k))

    def where(self, condition: object, other: object) -> Traced:
        """This where it holds, and the other elsewhere."""
        known = (
            condition if isinstance(condition, Traced) else self.lifted(condition).apply("!=", 0.0)
        )
        return self.apply("where", known, other)

    def clamp(self, min: object = None, max: object = None) -> Traced:
        """Between two limits; NaN stays."""
        above = self if min is None else self.apply("maximum", min)
        return above if max is None else above.apply("minimum", max)

    def maximum(self, other: object) -> Traced:
        """The larger of each two, NaN if one is."""
        return self.apply("maximum", other)

    def minimum(self, other: object) -> Traced:
        """The smaller of each two, NaN if one is."""
        return self.apply("minimum", other)

    def square(self) -> Traced:
        """Each value times itself."""
        return self.apply("*", self)

    def to(self, dtype: object) -> Traced:
        """Itself: kernels compute in float32."""
        return self

    def __getattr__(self, name: str) -> Callable[[], Traced]:
        if name in _UNARY:
            return lambda: self.apply(name)
        raise NotStreamableError(name)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, model: object) -> Traced:
        if not self.per_model or not isinstance(model, int):
            raise NotStreamableError(f"[{model!r}]")
        one = range(self.tape.k)[model]
        return Traced(self.tape, self.tape.put("pick", self.step, one, per_model=False))

    def __iter__(self) -> Iterator[Traced]:
        return (self[model] for model in range(len(self)))

    def __bool__(self) -> NoReturn:
        raise NotStreamableError("a condition on entries")

    def __neg__(self) -> Traced:
        return self.apply("*", -1.0)

    def __invert__(self) -> Traced:
        return self.apply("not")

    @classmethod
    def __torch_function__(
        cls, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Read `torch.where(...)` and the like as the method of the same name."""
        name = getattr(func, "__name__", "")
        if name == "where" and len(args) == 3:
            condition, this, other = args
            known = next(value for value in args if isinstance(value, Traced))
            return known.lifted(this).where(condition, other)
        if name in _FUNCTIONS and isinstance(args[0], Traced):
            return getattr(args[0], name)(*args[1:], **(kwargs or {}))
        raise NotStreamableError(name)


def _is_defined(op: str, truths: list[bool]) -> bool:
    """Whether a step has one meaning: torch's sum of two truths is a truth, ours would be 2."""
    if op in ("&", "|", "not"):
        return all(truths)
    if op == "where":
        return truths[1] and not (truths[0] and truths[2])
    return op in _COMPARISONS or not all(truths)


def _operator(op: str, *, swapped: bool) -> Callable[[Traced, Any], Traced]:
    def operate(self: Traced, other: Any) -> Traced:
        first, second = (self.lifted(other), self) if swapped else (self, other)
        return first.apply(op, second)

    return operate


for _name, _op in _BINARY.items():
    setattr(Traced, f"__{_name}__", _operator(_op, swapped=False))
for _name in ("add", "sub", "mul", "truediv"):
    setattr(Traced, f"__r{_name}__", _operator(_BINARY[_name], swapped=True))

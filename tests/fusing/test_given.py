from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from alnico.data.batches import Rows
from alnico.errors import DataError, IncompatibleModelsError
from alnico.fusing.given import as_rows, check_task, fitting_target, read_rows, said, task_of
from alnico.types import Task

X, Y = torch.randn(10, 3), torch.arange(10) % 2
THREE = Task("multiclass", ("a", "b", "c"))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        Rows(X, Y),
        DataLoader(TensorDataset(X, Y), batch_size=4),
        [(X[:3], Y[:3]), (X[3:], Y[3:])],
        ((X[:9], Y[:9]), (X[9:], Y[9:])),
        iter([(X, Y)]),
    ],
)
def test_rows_come_in_many_forms(data: object) -> None:
    rows = as_rows(data)
    assert isinstance(rows.inputs, Tensor)
    assert torch.equal(rows.inputs, X) and torch.equal(rows.target, Y)


def test_named_inputs_stay_named() -> None:
    rows = as_rows([({"x": X[:4], "z": Y[:4]}, Y[:4]), ({"x": X[4:], "z": Y[4:]}, Y[4:])])
    assert not isinstance(rows.inputs, Tensor)
    assert torch.equal(rows.inputs["x"], X) and torch.equal(rows.inputs["z"], Y)


def test_inputs_alone_have_no_target() -> None:
    for inputs in (X, {"x": X}):
        rows, is_labelled = read_rows(inputs)
        assert not is_labelled and len(rows) == 10 and rows.inputs is inputs
    assert read_rows((X, Y))[1]


def test_anything_else_is_refused() -> None:
    with pytest.raises(DataError, match=r"pairs \(inputs, target\) of tensors, got a list of Ten"):
        as_rows(DataLoader(TensorDataset(X), batch_size=5))
    with pytest.raises(DataError, match="got a int"):
        as_rows([1, 2, 3])
    with pytest.raises(DataError, match="named inputs must be tensors, got x: ndarray"):
        read_rows({"x": X.numpy()})
    with pytest.raises(DataError, match="inputs 10, target 4"):
        as_rows((X, Y[:4]))
    for empty in ([], (X[:0], Y[:0])):
        with pytest.raises(DataError, match="have no rows"):
            as_rows(empty)
    with pytest.raises(DataError, match="have no rows"):
        read_rows(X[:0])


def test_a_model_must_say_finite_numbers_of_every_row() -> None:
    model = nn.Linear(3, 2)
    assert torch.equal(said("it", model, X).logits, model(X))
    with pytest.raises(IncompatibleModelsError, match=r"it says \[10\] of 5 rows, not \[n, out"):
        said("it", nn.Sequential(model, nn.Flatten(0)), X[:5])
    with pytest.raises(IncompatibleModelsError, match=r"it says \[10, 3, 1\] of 10 rows"):
        said("it", nn.Unflatten(1, (3, 1)), X)
    broken = X.clone()
    broken[[2, 5], 0] = torch.tensor([torch.nan, torch.inf])
    with pytest.raises(IncompatibleModelsError, match=r"it says NaN or infinite .* 2 of 10 rows"):
        said("it", model, broken)


@pytest.mark.parametrize(
    ("target", "n_outputs", "kind", "n"),
    [
        (Y, 2, "binary", 2),
        (Y.int(), 5, "multiclass", 5),
        (Y.bool(), 2, "binary", 2),
        (Y.float(), 1, "regression", 1),
        (None, 1, "regression", 1),
        (None, 2, "binary", 2),
        (None, 7, "multiclass", 7),
    ],
)
def test_the_task_is_read_from_target_and_outputs(
    target: Tensor | None, n_outputs: int, kind: str, n: int
) -> None:
    task = task_of(target, n_outputs)
    assert (task.kind, task.n_outputs) == (kind, n)
    check_task(task, n_outputs)


def test_models_of_another_number_of_outputs_do_not_fit_the_task() -> None:
    message = "multiclass task of 3 outputs does not fit models of 2"
    with pytest.raises(IncompatibleModelsError, match=message):
        check_task(THREE, 2)
    with pytest.raises(IncompatibleModelsError, match=r"regression task of 1 outputs .* of 2"):
        check_task(task_of(Y.float(), 2), 2)


def test_a_target_becomes_what_the_losses_read() -> None:
    assert torch.equal(fitting_target(Y.bool(), Task("binary", (0, 1))), Y)
    assert fitting_target(Y, Task("regression")).dtype == torch.float32
    numbers = Y.double()
    assert fitting_target(numbers, Task("regression")) is numbers


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        (Y[:, None], THREE, r"must be \[n\], one entry a row, got \[10, 1\]"),
        (Y.float(), THREE, "must be class indices, got torch.float32"),
        (Y + 2, THREE, "has the class 3, and the task the classes 0 to 2"),
        (Y - 1, THREE, "has the class -1, and"),
        (Y / 0, Task("regression"), "NaN or infinite"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(target: Tensor, task: Task, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fitting_target(target, task)

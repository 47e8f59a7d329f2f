from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from alnico import progress
from alnico.checkpoint.opened import Checkpoint
from alnico.errors import (
    DataError,
    IncompatibleModelsError,
    OutputError,
    RecipeError,
    UnknownNameError,
    UnsafeFileError,
)
from alnico.merging import load_plugin, merge_files, merge_paths, merge_states
from alnico.merging.files import counted, dtype_of, open_models, plan_files
from alnico.merging.saving import Order
from alnico.merging.steps import Form, Input, Step
from alnico.merging.stream import questions
from alnico.methods import Method, methods
from alnico.types import StateDict

SVD = '''
import alnico
import torch
from torch import Tensor

@alnico.method()
def spectral(deltas: Tensor, rank: int = 1) -> Tensor:
    """Add the largest part of the mean change."""
    left, values, right = torch.linalg.svd(deltas.mean(0), full_matrices=False)
    return left[:, :rank] * values[:rank] @ right[:rank]
'''


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_file_holds_what_the_formula_gives(three: list[Path], tmp_path: Path) -> None:
    cats, dogs, base = three
    out = tmp_path / "pets.safetensors"
    merge_files([cats, dogs], out, "task_arithmetic", base=base, weight=[1.0, 0.5], scale=0.8)
    a, b, root, found = (load_file(path) for path in (cats, dogs, base, out))
    assert set(found) == set(a)
    for name, tensor in found.items():
        if name == "1.num_batches_tracked":
            assert tensor == a[name]
            continue
        expected = root[name] + 0.8 * (a[name] - root[name] + 0.5 * (b[name] - root[name]))
        torch.testing.assert_close(tensor, expected)


SHAPES = {"scalar": (), "bias": (7,), "weight": (31, 17), "blocks": (3, 100_003)}


def tuned(dtype: torch.dtype) -> list[StateDict]:
    """Two models that share a part of their change, and their base."""
    base, shared, *own = ({n: torch.randn(shape) for n, shape in SHAPES.items()} for _ in range(4))
    models = [{n: base[n] + 0.1 * (shared[n] + each[n]) for n in SHAPES} for each in own]
    return [{n: x.to(dtype) for n, x in state.items()} for state in (*models, base)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", sorted(methods))
def test_files_give_the_tensors_that_memory_gives(
    save: Callable[..., Path], name: str, dtype: torch.dtype
) -> None:
    """To the bit, but for sums over whole tensors, which each adds up in its own order."""
    method, states = methods[name], tuned(dtype)
    paths = [save(str(i), state) for i, state in enumerate(states)]
    n = method.models or 2
    base, root = (paths[2], states[2]) if method.takes_base else (None, None)
    found = merge_paths(paths[:n], method, base=base, seed=5)
    expected = merge_states(states[:n], method, base=root, seed=5)
    assert found.keys() == expected.keys()
    for key, tensor in found.items():
        if sums_over_tensors(method):
            torch.testing.assert_close(tensor, expected[key])
        else:
            assert torch.equal(tensor, expected[key]), key


def sums_over_tensors(method: Method) -> bool:
    inputs = tuple(Input(j, "w") for j in range(method.models or 2))
    base = Input(2, "w") if method.takes_base else None
    asked = questions(Step("w", Form("F32", (9,)), "merge", inputs, base, method), {"F32": None})
    return asked is not None and not asked.isdisjoint({"gram", "totals"})


def test_the_same_merge_gives_the_same_bytes(three: list[Path], tmp_path: Path) -> None:
    first, second = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    for out in (first, second):
        merge_files(three, out, weight=[1, 2, 3])
    assert sha(first) == sha(second)


def test_tensors_of_one_name_alone_are_read_one_after_the_other(
    three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = Checkpoint.read

    def spy(model: Checkpoint, name: str, start: int, stop: int, out: object) -> None:
        read.append(name)
        original(model, name, start, stop, out)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoint, "read", spy)
    merged = merge_paths(three[:2], "task_arithmetic", base=three[2])
    assert list(dict.fromkeys(read)) == list(merged)
    for name in merged:
        places = [i for i, each in enumerate(read) if each == name]
        assert places == list(range(places[0], places[-1] + 1)), "it was read in one go"


def test_faults_in_headers_are_found_before_a_tensor_is_read(
    save: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "read", lambda *_: pytest.fail("a tensor was read"))
    narrow, wide = (save(n, {"w": torch.ones(s)}) for n, s in (("narrow", 2), ("wide", 3)))
    out = tmp_path / "out.safetensors"
    with pytest.raises(IncompatibleModelsError) as error:
        merge_files([narrow, wide], out)
    assert f"{narrow} and {wide} differ in the shape of 1 of 1 tensors" in str(error.value)
    with pytest.raises(RecipeError, match="there are no models"):
        merge_files([], out)
    with pytest.raises(RecipeError, match="linear has no use for a base"):
        merge_files([narrow], out, base=narrow)
    with pytest.raises(RecipeError, match="ties merges changes from a base, and there is none"):
        merge_files([narrow], out, "ties")
    assert not out.exists()


def test_notes_that_all_models_share_are_kept(save: Callable[..., Path], tmp_path: Path) -> None:
    state = {"w": torch.ones(2)}
    paths = [save(name, state, format="pt", name=name, only_here="") for name in "ab"]
    paths.append(save("c", state, format="pt", name="c"))
    out = tmp_path / "out.safetensors"
    merge_files(paths, out)
    with safe_open(out, framework="pt") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_mixed_dtypes_need_one_that_is_asked_for(save: Callable[..., Path], tmp_path: Path) -> None:
    values, n = torch.randn(9), torch.tensor(3)
    wide, narrow = save("wide", {"w": values, "n": n}), save("narrow", {"w": values.half(), "n": n})
    out = tmp_path / "out.safetensors"
    with pytest.raises(IncompatibleModelsError, match=r"help: ask for one dtype, e.g. dtype="):
        merge_files([wide, narrow], out)
    merge_files([wide, narrow], out, dtype="torch.bfloat16")
    found = load_file(out)
    assert torch.equal(found["w"], ((values + values.half().float()) / 2).bfloat16())
    assert found["n"] == n
    with pytest.raises(
        RecipeError, match=r"'bfloat61' is none .*\n  help: did you mean 'bfloat16'"
    ):
        merge_files([wide, narrow], tmp_path / "none.safetensors", dtype="bfloat61")
    assert [dtype_of(f"float{n}") for n in (16, 32, 64)] == ["F16", "F32", "F64"]
    with pytest.raises(RecipeError, match="dtype 'int64' is none that weights are written in"):
        dtype_of("int64")


def test_integers_are_taken_from_the_model_that_is_named(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    states: list[StateDict] = [
        {"w": torch.full((2,), i), "ids": torch.tensor([int(i)])} for i in (1.0, 3.0)
    ]
    a, b = (save(name, state) for name, state in zip("ab", states, strict=True))
    with pytest.raises(IncompatibleModelsError, match="integer tensors differ"):
        merge_files([a, b], tmp_path / "none.safetensors")
    for donor, ids in ((a, 1), (b, 3)):
        out = tmp_path / f"from_{ids}.safetensors"
        record = merge_files([a, b], out, integers_from=donor)
        found = load_file(out)
        assert found["ids"] == ids and found["w"].tolist() == [2.0, 2.0]
        assert record["tensors"]["copied"] == ["ids"]  # type: ignore[index]
    with pytest.raises(UnknownNameError, match=r"'.*c.safetensors' is not one of the models"):
        merge_files([a, b], tmp_path / "o.safetensors", integers_from=tmp_path / "c.safetensors")


@pytest.mark.usefixtures("own_registry")
def test_a_plug_in_outside_the_vocabulary_merges_files(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    file = tmp_path / "own.py"
    file.write_text(SVD)
    load_plugin(file)
    states = [{"w": torch.randn(6, 4)} for _ in range(3)]
    *paths, base = [save(str(i), state) for i, state in enumerate(states)]
    a, b, root = (state["w"] for state in states)
    left, values, right = torch.linalg.svd((a + b) / 2 - root, full_matrices=False)
    for rank in (1, 4):
        found = merge_paths(paths, "spectral", base=base, rank=rank)["w"]
        expected = root + left[:, :rank] @ values[:rank].diag() @ right[:rank]
        torch.testing.assert_close(found, expected)


def test_a_pickle_that_would_run_code_does_not_run_it(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps({"w": Trap()}))
    with pytest.raises(UnsafeFileError, match=r"model\.bin is refused: .*mkdir"):
        merge_paths([path])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", ["written", "cut"])
def test_an_input_that_changes_meanwhile_stops_the_merge(
    three: list[Path], tmp_path: Path, how: str
) -> None:
    """Once its first tensor is merged; nothing is left."""
    dogs, before = three[1], three[1].read_bytes()

    def change(event: progress.Event) -> None:
        if event.what == "advanced" and event.phase.name == "merge" and event.phase.done == 1:
            dogs.write_bytes(before[:-30] if how == "cut" else before)
            os.utime(dogs, ns=(1, 1))

    for merge in (merge_paths, lambda paths: merge_files(paths, tmp_path / "out.safetensors")):
        dogs.write_bytes(before)
        with progress.listen(change), pytest.raises(DataError, match=r"dogs.*while it was read"):
            merge(three)
        assert sorted(tmp_path.iterdir()) == sorted(three)


def test_models_are_closed_at_the_end_of_the_block(three: list[Path]) -> None:
    with open_models(three[:2], three[2]) as models:
        assert [model.path for model in models] == three
        plan = plan_files(models, "ties", {}, has_base=True)
        assert plan.models == tuple(map(str, three)) and plan.base == 2
        assert counted(models, has_base=True) == "2 models, a base, 9 tensors, 99 weights, float32"
    with pytest.raises((DataError, OSError, ValueError)):
        models[0].tensor("0.weight")


def test_its_phases_say_what_was_done(three: list[Path], tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    out = tmp_path / "pets.safetensors"

    def listen(event: progress.Event) -> None:
        if event.what == "finished":
            heard.append((event.phase.name, event.phase.text))

    with progress.listen(listen):
        merge_files(three[:2], out, "task_arithmetic", base=three[2], weight=[1.0, 0.8])
    size = f"{out.stat().st_size:_}".replace("_", " ")
    assert heard == [
        ("read", "2 models, a base, 9 tensors, 99 weights, float32"),
        ("check", "same names, shapes, dtypes"),
        ("merge", "task_arithmetic weight=1,0.8 scale=1 normalize=none"),
        ("write", f"{out}  {size} bytes  sha256 {sha(out)[:10]}"),
    ]


def test_a_model_in_shards_merges_into_shards(save: Callable[..., Path], tmp_path: Path) -> None:
    states = [{f"w{i}": torch.randn(10, 10) for i in range(6)} for _ in range(2)]
    paths = [save(str(i), state) for i, state in enumerate(states)]
    record = merge_files(paths, tmp_path / "out", order=Order(shard_bytes=1000))
    assert len(record["output"]["sha256"]) == 3  # type: ignore[index]
    found = merge_paths([tmp_path / "out"])
    assert set(found) == set(states[0])
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (states[0][name] + states[1][name]) / 2)


def test_an_output_that_is_an_input_is_refused_before_a_plan(three: list[Path]) -> None:
    with pytest.raises(OutputError, match="is an input itself"):
        merge_files(three, three[1], "no such method")

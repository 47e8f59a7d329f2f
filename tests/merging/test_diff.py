from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import alnico
from alnico import progress
from alnico.errors import DataError, RecipeError, UnsafeFileError
from alnico.merging import diff as room
from alnico.merging.diff import diff
from alnico.types import StateDict

SHAPES = {
    "model.embed_tokens.weight": (30, 8),
    **{f"model.layers.{i}.mlp.up_proj.weight": (16, 8) for i in range(3)},
    **{f"model.layers.{i}.norm.weight": (8,) for i in range(3)},
    "lm_head.weight": (30, 8),
}
MEASURES = """
import resource, sys
from alnico.merging.diff import diff
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = diff(*sys.argv[1:3], base=sys.argv[3], threads=2)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert found.whole.sums.change.share > 0.9
print(after - before, "torch" in sys.modules, "numba" in sys.modules)
"""


def tuned(
    seed: int, base: StateDict | None = None, dtype: torch.dtype = torch.float32
) -> StateDict:
    """A model of random weights, or a base with some of them moved."""
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in SHAPES.items():
        noise = torch.randn(shape, generator=draw)
        if base is not None:
            noise = base[name].float() + noise * (torch.rand(shape, generator=draw) < 0.6) * 0.1
        state[name] = noise.to(dtype)
    return state


def flat(state: StateDict, names: list[str]) -> np.ndarray:
    return torch.cat([state[name].double().reshape(-1) for name in names]).numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_every_row_is_numpys_formula_on_the_loaded_tensors(
    save: Callable[..., Path], dtype: torch.dtype
) -> None:
    base = tuned(0, dtype=dtype)
    a, b = tuned(1, base, dtype), tuned(2, base, dtype)
    found = diff(save("a", a), save("b", b), base=save("base", base))
    assert len(found.rows) == len(SHAPES) and found.fits and not found.identical
    for row in (*found.rows, *found.layers, found.whole):
        x, y, z = (flat(state, list(row.tensors)) for state in (a, b, base))
        norm = np.linalg.norm
        cosine = (x - z) @ (y - z) / norm(x - z) / norm(y - z)
        both = (x != z) & (y != z)
        wanted = [norm(y - x) / norm(x), np.mean(x != y), np.abs(y - x).max(), cosine]
        wanted += [np.mean((x > z)[both] == (y > z)[both])]
        wanted += [norm(x - z) / norm(z), np.mean(x != z), norm(y - z) / norm(z), np.mean(y != z)]
        change, alike, (of_a, of_b) = row.sums.change, row.sums.agreement, row.sums.from_base
        measured = [change.distance, change.share, change.greatest, alike.cosine, alike.signs]
        measured += [of_a.distance, of_a.share, of_b.distance, of_b.share]
        assert measured == pytest.approx(wanted, rel=1e-9), row.name


def test_paths_state_dicts_and_modules_say_the_same(save: Callable[..., Path]) -> None:
    nets = [nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8)) for _ in "ab"]
    states = [net.state_dict() for net in nets]
    paths = [save(name, state) for name, state in zip("ab", states, strict=True)]
    records = []
    for a, b in (nets, states, paths, (nets[0], str(paths[1]))):
        record = diff(a, b).record()
        assert isinstance(record["tensors"], list)
        tensors = sorted(record["tensors"], key=lambda row: row["name"])
        records.append((record["all"], [{**row, "layer": None} for row in tensors]))
    assert all(each[1] == records[0][1] for each in records)
    assert (diff(*nets).a, diff(*paths).a) == ("a", str(paths[0]))


def test_blocks_and_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = ({"x": torch.randn(7, 1000), "y": torch.tensor(1.0)} for _ in "ab")
    whole = diff(a, b)
    monkeypatch.setattr(room, "_BLOCK", 1000)
    monkeypatch.setattr(room, "_PIECE", 64)
    one, two = diff(a, b, threads=1), diff(a, b, threads=2)
    assert one == two
    for row, other in zip(whole.rows, one.rows, strict=True):
        assert row.sums.change.n_changed == other.sums.change.n_changed
        assert other.sums.change.square == pytest.approx(row.sums.change.square, rel=1e-12)
    x, y = a["x"].double(), b["x"].double()
    assert one.rows[0].sums.change.distance == pytest.approx(float((y - x).norm() / x.norm()))


def test_what_does_not_fit_is_part_of_the_answer(save: Callable[..., Path]) -> None:
    base = tuned(0)
    a, b = tuned(1, base), tuned(2, base)
    a["only.a"] = torch.ones(2)
    b["model.embed_tokens.weight"] = torch.ones(31, 8)
    b["lm_head.weight"] = b["lm_head.weight"].double()
    b["late"] = torch.ones(3)
    del base["model.layers.0.norm.weight"]
    base["model.layers.1.norm.weight"] = torch.ones(9)
    found = diff(save("a", a), save("b", b), base=save("base", base))
    assert (found.only_a, found.only_b) == (("only.a",), ("late",))
    assert found.shapes == {"model.embed_tokens.weight": ((30, 8), (31, 8))}
    assert found.dtypes == {"lm_head.weight": ("float32", "float64")}
    assert found.unbased == ("model.layers.0.norm.weight", "model.layers.1.norm.weight")
    assert not found.fits and not found.identical
    rows = {row.name: row.sums for row in found.rows}
    assert "model.embed_tokens.weight" not in rows
    lacking = rows["model.layers.0.norm.weight"]
    assert lacking.change.distance is not None and lacking.from_base[0].distance is None


def test_without_a_base_tensor_cosine_and_signs_are_not_those_of_values() -> None:
    a, b = tuned(1), tuned(2)
    base = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    del base["lm_head.weight"]
    rows = {row.name: row.sums for row in diff(a, b, base=base).rows}
    assert rows["lm_head.weight"].agreement.cosine is None
    assert rows["model.embed_tokens.weight"].agreement.cosine is not None


def test_the_same_model_is_identical_even_where_it_is_nan(save: Callable[..., Path]) -> None:
    state = tuned(0)
    state["lm_head.weight"][0, 0] = np.nan
    found = diff(save("a", state), save("b", {k: v.clone() for k, v in state.items()}))
    assert found.identical and found.whole.sums.nonfinite == (1, 1, 0)
    record = json.dumps(found.record(), allow_nan=False)
    assert json.loads(record)["identical"] is True
    other = {name: tensor.clone() for name, tensor in state.items()}
    other["model.layers.2.norm.weight"][0] += 1
    assert not diff(state, other).identical


def test_a_counter_and_an_index_are_compared_by_their_bits() -> None:
    a = {"n": torch.tensor(3), "ids": torch.arange(4), "w": torch.ones(2)}
    b = {"n": torch.tensor(4), "ids": torch.arange(4), "w": torch.ones(2)}
    shares = [row.sums.change.share for row in diff(a, b).rows]
    assert shares == [1.0, 0.0, 0.0]
    assert diff(a, b).whole.sums.change.distance == 0.0


def test_files_are_compared_without_torch_in_little_memory(
    tmp_path: Path, python: Callable
) -> None:
    base = {"x": torch.randn(8, 1 << 20).bfloat16()}  # of each model 16 MB
    paths = []
    for name in ("a", "b", "base"):
        paths.append(tmp_path / f"{name}.safetensors")
        state = base if name == "base" else {"x": torch.randn(8, 1 << 20).bfloat16()}
        save_file(state, paths[-1])
    done = python(MEASURES, *paths)
    assert done.returncode == 0, done.stderr
    grown, *loaded = done.stdout.split()
    assert loaded == ["False", "False"]
    assert int(grown) < 14_000  # kB; one of the three tensors alone takes more


def test_hidden_changes_and_bad_files_are_refused(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = save("a"), save("b")
    with pytest.raises(DataError, match=re.escape("nowhere.safetensors")):
        diff(a, "nowhere.safetensors")
    with pytest.raises(RecipeError, match="threads must be 0 or more, got -1"):
        diff(a, b, threads=-1)
    with pytest.raises(RecipeError, match="b is no model but of type NoneType"):
        diff(a, None)  # type: ignore[arg-type]
    measure = room.measure

    def write_meanwhile(*given: object) -> object:
        b.write_bytes(b.read_bytes() + b" ")
        return measure(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "measure", write_meanwhile)
    with pytest.raises(DataError, match=re.escape(b.name)):
        diff(a, b)
    with pytest.raises(UnsafeFileError, match=re.escape(b.name)):
        diff(a, b)


def test_it_tells_what_it_does(save: Callable[..., Path]) -> None:
    heard: list[tuple[str, str, int]] = []

    def hear(event: progress.Event) -> None:
        if event.what == "finished":
            heard.append((event.phase.name, event.phase.text, event.phase.done))

    with progress.listen(hear):
        alnico.diff(save("a", tuned(0)), save("b", tuned(1)))
    assert heard == [
        ("read", "8 and 8 tensors", 0),
        ("compare", "8 tensors", 8),
        ("rank", "of 5 changed matrices", 5),
    ]

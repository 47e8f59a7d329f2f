from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from alnico.errors import DataError, RecipeError
from alnico.merging import merge_files, merge_modules
from alnico.merging.execute import How
from alnico.merging.judging import judge
from alnico.merging.scores import Scores
from alnico.progress import Event, listen

X = torch.linspace(-1, 1, 30).reshape(6, 5)


def network(width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, 2))


def energy(model: Path | nn.Module) -> dict[str, float]:
    """The mean square of each output of a network, which has a closed form for whoever knows it."""
    if isinstance(model, Path):
        net = network()
        file = model / "model.safetensors" if model.is_dir() else model
        net.load_state_dict(load_file(file))
        model = net
    with torch.no_grad():
        left, right = model(X).square().mean(0).tolist()
    return {"left": left, "right": right}


def kinds(scores: Scores) -> list[tuple[str, str]]:
    return [(row.name, row.kind) for row in scores.rows]


@pytest.fixture
def nets() -> dict[str, nn.Module]:
    return {name: network() for name in ("cats", "dogs", "base")}


@pytest.fixture
def files(nets: dict[str, nn.Module], save: Callable[..., Path]) -> dict[str, Path]:
    return {name: save(name, net.state_dict()) for name, net in nets.items()}


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def heard(notes: list[str]) -> Callable[[Event], None]:
    def hear(event: Event) -> None:
        if event.what == "finished":
            notes.append(event.phase.text)

    return hear


@pytest.mark.parametrize("suffix", ["", ".safetensors"])
def test_files_and_modules_get_the_same_table(
    suffix: str, nets: dict, files: dict, tmp_path: Path
) -> None:
    out = tmp_path / f"out{suffix}"
    merge_files([files["cats"], files["dogs"]], out, "ties", base=files["base"], density=0.5)
    pair = {name: nets[name] for name in ("cats", "dogs")}
    merged = merge_modules([*pair.values()], "ties", base=nets["base"], density=0.5)
    here = set(tmp_path.iterdir())
    on_disk = judge(
        energy, {name: str(files[name]) for name in pair}, merged=out, base=files["base"]
    )
    assert set(tmp_path.iterdir()) == here
    in_memory = judge(energy, pair, merged=merged, base=nets["base"])
    assert kinds(on_disk) == [
        ("base", "base"),
        ("cats", "parent"),
        ("dogs", "parent"),
        ("average", "average"),
        ("merge", "merge"),
    ]
    assert kinds(in_memory) == [*kinds(on_disk), ("ensemble", "ensemble")]
    for one, other in zip(on_disk.rows, in_memory.rows, strict=False):
        assert one.scores == pytest.approx(other.scores, rel=1e-5)


def test_each_row_scores_the_model_that_it_names(nets: dict) -> None:
    pair = {name: nets[name] for name in ("cats", "dogs")}
    scores = judge(energy, pair, merged=nets["base"], name="pets")
    found = {row.name: row.scores for row in scores.rows}
    assert found["cats"] == energy(nets["cats"]) and found["pets"] == energy(nets["base"])
    halfway = network()
    states = [net.state_dict() for net in pair.values()]
    halfway.load_state_dict({name: (states[0][name] + states[1][name]) / 2 for name in states[0]})
    assert found["average"] == pytest.approx(energy(halfway), rel=1e-5)
    with torch.no_grad():
        mean = (nets["cats"](X) + nets["dogs"](X)) / 2
    assert [*found["ensemble"].values()] == pytest.approx(mean.square().mean(0).tolist())


def test_no_average_is_shown_that_is_the_merge_itself_or_of_one_model(
    nets: dict, files: dict, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    pair = {name: files[name] for name in ("cats", "dogs")}
    merge_files([*pair.values()], out, dtype="bfloat16")  # the average is rounded as the merge is
    assert kinds(judge(lambda _: 1, pair, merged=out)) == [
        ("cats", "parent"),
        ("dogs", "parent"),
        ("merge", "merge"),
    ]
    one = {"cats": files["cats"]}
    assert kinds(judge(lambda _: 1, one, merged=files["dogs"]))[1:] == [("merge", "merge")]
    both = {"cats": nets["cats"], "dogs": nets["dogs"]}
    same = judge(energy, both, merged=merge_modules([*both.values()]))
    assert [row.kind for row in same.rows] == ["parent", "parent", "merge", "ensemble"]
    apart = judge(energy, both, merged=nets["base"], ensemble=False)
    assert [row.kind for row in apart.rows] == ["parent", "parent", "average", "merge"]


def test_models_that_have_no_average_are_scored_and_that_is_said(
    files: dict, save: Callable[..., Path], notes: list[str], heard: Callable, tmp_path: Path
) -> None:
    wide = save("wide", network(9).state_dict())
    with listen(heard):
        scores = judge(
            lambda path: path.stat().st_size,
            {"cats": files["cats"], "wide": wide},
            merged=files["dogs"],
        )
    assert [row.name for row in scores.rows] == ["cats", "wide", "merge"]
    assert [row.scores["score"] for row in scores.rows] == [
        path.stat().st_size for path in (files["cats"], wide, files["dogs"])
    ]
    assert notes[0].startswith("the models have none: ") and "wide" in notes[0]
    assert notes[-1] == "3 models in score" and not list(tmp_path.glob(".*"))


def test_the_average_is_made_as_the_merge_was(
    save: Callable[..., Path], notes: list[str], heard: Callable
) -> None:
    pair = {name: save(name, {"x": torch.tensor([torch.nan, 1.0])}) for name in "ab"}
    merged = save("merged", {"x": torch.tensor([0.0, 3.0])})
    last = lambda path: float(load_file(path)["x"][1])  # noqa: E731
    with listen(heard):
        assert len(judge(last, pair, merged=merged).rows) == 3
    assert notes[0].startswith("the models have none: ") and "NaN" in notes[0]
    found = judge(last, pair, merged=merged, how=How(allow_nonfinite=True))
    assert [(row.name, row.scores["score"]) for row in found.rows[2:]] == [
        ("average", 1.0),
        ("merge", 3.0),
    ]


def test_a_folder_is_scored_as_a_folder_and_the_average_has_its_side_files(
    nets: dict, files: dict, tmp_path: Path
) -> None:
    folders = {}
    for name in ("cats", "dogs"):
        folders[name] = tmp_path / f"{name}-folder"
        folders[name].mkdir()
        files[name].rename(folders[name] / "model.safetensors")
        (folders[name] / "config.json").write_text(f'{{"of": "{name}"}}')
    merge_files([*folders.values()], tmp_path / "out", "slerp", t=0.3)
    seen: dict[Path, str] = {}

    def score(path: Path) -> float:
        seen[path] = json.loads((path / "config.json").read_text())["of"]
        return energy(path)["left"]

    judge(score, folders, merged=tmp_path / "out")
    cats, dogs, average, out = seen
    assert [cats, dogs, out] == [*folders.values(), tmp_path / "out"]
    assert [*seen.values()] == ["cats", "dogs", "cats", "cats"]
    assert average.name == "average" and average.parent.parent == tmp_path
    assert not average.parent.exists()


def test_what_a_score_gives_is_checked_against_the_first_model(nets: dict) -> None:
    pair = {name: nets[name] for name in ("cats", "dogs")}
    odd = lambda net: {"x": 1.0} if net is nets["cats"] else {"y": 1.0}  # noqa: E731
    with pytest.raises(DataError, match="<lambda> of dogs gave the tasks y, and x of the first"):
        judge(odd, pair, merged=nets["base"])
    with pytest.raises(DataError, match="<lambda> of cats gave nan"):
        judge(lambda _: float("nan"), pair, merged=nets["base"])
    with pytest.raises(ZeroDivisionError):  # one's own fault in one's own process stays as it is
        judge(lambda _: 1 / 0, pair, merged=nets["base"])


def test_models_in_several_forms_or_none_are_refused(nets: dict, files: dict) -> None:
    with pytest.raises(RecipeError, match="not in one form\n  help: give paths alone, or modules"):
        judge(energy, {"cats": nets["cats"]}, merged=files["dogs"])
    with pytest.raises(RecipeError, match="not in one form"):
        judge(energy, {"cats": nets["cats"]}, merged=nets["dogs"], base=files["base"])
    with pytest.raises(RecipeError, match="held against its parents, and none is given"):
        judge(energy, {}, merged=files["dogs"])
    with pytest.raises(DataError, match="there is no file or folder"):
        judge(energy, {"cats": files["cats"].with_name("cat")}, merged=files["dogs"])

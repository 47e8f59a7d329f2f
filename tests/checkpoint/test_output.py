from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from alnico import progress
from alnico.checkpoint import output, sink
from alnico.checkpoint.output import check_output, new_model
from alnico.checkpoint.shards import Out
from alnico.errors import OutputError, RecipeError

OUTS = [Out("b", "U8", (3,)), Out("a", "F32", (2, 3)), Out("c", "F32", (4,))]
TYPES = {"U8": np.uint8, "F32": np.float32}
PLACES = ["model", "model.safetensors"]


def write(
    place: Path,
    value: int = 1,
    *,
    stop: str | None = None,
    error: type[BaseException] = KeyboardInterrupt,
    key: str = "key",
    outs: Sequence[Out] = OUTS,
    **options: bool,
) -> None:
    """Write a model full of `value`, its record too; raise `error` before tensor `stop`."""
    shard_bytes = 20 if place.suffix == "" else None
    with new_model(place, outs, key=key, shard_bytes=shard_bytes, **options) as sink:
        for out in outs:
            if out.name == stop:
                raise error
            if out.name not in sink.done:
                sink.put(out.name, 0, np.full(out.shape, value, TYPES[out.dtype]))
                sink.finish(out.name, str(value))
        (sink.folder / "run.json").write_text(str(value))


def seen(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def said(work: Callable[[], None]) -> list[str]:
    texts: list[str] = []
    with progress.listen(lambda event: texts.append(event.phase.text)):
        work()
    return texts


def fail_with(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_folder_holds_shards_an_index_and_what_was_written_beside(tmp_path: Path) -> None:
    write(tmp_path / "model")
    shards = [f"model/model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert sorted(seen(tmp_path)) == [
        *shards,
        "model/model.safetensors.index.json",
        "model/run.json",
    ]
    index = json.loads((tmp_path / "model/model.safetensors.index.json").read_text())
    assert [f"model/{index['weight_map'][name]}" for name in "bac"] == shards
    np.testing.assert_equal(load_file(tmp_path / shards[1]), {"a": np.ones((2, 3), np.float32)})


def test_a_file_has_its_record_beside_it_and_says_that_it_is_of_torch(tmp_path: Path) -> None:
    write(tmp_path / "x.safetensors")
    assert sorted(seen(tmp_path)) == ["x.run.json", "x.safetensors"]
    with safe_open(tmp_path / "x.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"}
        assert list(file.offset_keys()) == ["a", "c", "b"]
    with new_model(tmp_path / "y.safetensors", [], key="", metadata={"a": "b"}):
        pass
    with safe_open(tmp_path / "y.safetensors", framework="np") as file:
        assert file.metadata() == {"a": "b"} and not file.keys()


def test_transformers_loads_a_model_in_shards(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    model = transformers.BertModel(config)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    outs = [Out(name, "F32", values.shape) for name, values in state.items()]
    with new_model(tmp_path / "bert", outs, key="", shard_bytes=1000) as sink:
        for name, values in state.items():
            sink.put(name, 0, values)
            sink.finish(name, "")
        config.save_pretrained(sink.folder)
    loaded, report = transformers.BertModel.from_pretrained(
        tmp_path / "bert", output_loading_info=True
    )
    assert not any(report.values())
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


@pytest.mark.parametrize("name", PLACES)
def test_an_error_leaves_nothing_and_what_was_there(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    for old in (False, True):
        if old:
            write(place, 1)
        before = seen(tmp_path)
        with pytest.raises(FileNotFoundError):
            write(place, 2, stop="c", error=FileNotFoundError, force=True)
        assert seen(tmp_path) == before and len(list(tmp_path.iterdir())) == (
            0 if not old else 1 if name == "model" else 2
        )


@pytest.mark.parametrize("name", PLACES)
def test_after_ctrl_c_the_same_bytes_come_of_what_was_finished(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    (tmp_path / "once").mkdir()
    write(tmp_path / "once" / name)
    expected = seen(tmp_path / "once")

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            write(place, stop="c")

    assert said(interrupted) == [f"{place}: 2 finished tensors are kept; go on with --resume"]
    assert {path.name for path in tmp_path.iterdir()} == {"once", f".{name}.partial"}
    (tmp_path / f".{name}.partial" / "model" / "half.json").write_text("{")
    texts = said(lambda: write(place, resume=True))
    assert texts == ["2 of 3 tensors were finished before"]
    assert {k: v for k, v in seen(tmp_path).items() if not k.startswith("once")} == expected


def test_ctrl_c_before_a_tensor_is_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "model", stop="b")
    assert list(tmp_path.iterdir()) == []


def test_only_the_same_merge_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        write(place, stop="c")
    kept = seen(tmp_path)
    with pytest.raises(OutputError, match=r"holds another merge.*\n.*without --resume"):
        write(place, key="other", resume=True)
    with pytest.raises(OutputError, match="holds another merge"):
        write(place, outs=[*OUTS, Out("d", "U8", ())], resume=True)
    (shard, *_) = place.with_name(".model.partial").glob("model/*-00002-*")
    with shard.open("ab") as file:
        file.write(b"x")
    with pytest.raises(OutputError, match="was changed since the merge was interrupted"):
        write(place, resume=True)
    os.truncate(shard, shard.stat().st_size - 1)
    assert seen(tmp_path) == kept
    write(place, resume=True)
    assert (place / "run.json").exists()


def test_without_resume_what_was_left_is_removed_and_this_is_said(tmp_path: Path) -> None:
    place = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        write(place, 1, stop="c")
    (text,) = said(lambda: write(place, 2))
    assert text == f"removed what an interrupted merge had left in {tmp_path}/.model.partial"
    (shard, *_) = place.glob("*-00002-*")
    assert load_file(shard)["a"].tolist() == [[2] * 3] * 2
    (text,) = said(lambda: write(tmp_path / "new", resume=True))
    assert text == f"nothing to go on with at {tmp_path}/new: from the start"


@pytest.mark.parametrize("name", PLACES)
def test_what_is_there_is_replaced_with_force_only(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, 1)
    before = seen(tmp_path)
    with pytest.raises(OutputError, match="is there already"):
        write(tmp_path / name, 2)
    assert seen(tmp_path) == before
    write(tmp_path / name, 2, force=True)
    after = seen(tmp_path)
    assert after != before and after.keys() == before.keys()


def test_a_record_never_stays_beside_a_new_model(tmp_path: Path) -> None:
    write(tmp_path / "x.safetensors", 1)
    with new_model(tmp_path / "x.safetensors", [], key="", force=True):
        pass
    assert list(seen(tmp_path)) == ["x.safetensors"]


@pytest.mark.parametrize("name", PLACES)
def test_what_appears_meanwhile_by_another_process_stays(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    with pytest.raises(OutputError, match="is there already"), new_model(place, [], key=""):
        place.mkdir() if name == "model" else place.write_text("theirs")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_model_and_its_record_come_back_when_a_last_rename_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x.safetensors", 1)
    before, move = seen(tmp_path), output.move_file
    for fails in (1, 2):
        left = [fails]

        def move_or_fail(*args: Path, force: bool, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise OSError(errno.EIO, "Input/output error")
            move(*args, force=force)

        monkeypatch.setattr(output, "move_file", move_or_fail)
        with pytest.raises(OutputError, match="cannot be written: Input/output error"):
            write(tmp_path / "x.safetensors", 2, force=True)
        assert seen(tmp_path) == before and len(list(tmp_path.iterdir())) == 2


def test_a_file_system_without_hard_links_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", fail_with(errno.EPERM))
    write(tmp_path / "x.safetensors", 1)
    write(tmp_path / "x.safetensors", 2, force=True)
    assert load_file(tmp_path / "x.safetensors")["b"].tolist() == [2, 2, 2]
    assert (tmp_path / "x.run.json").read_text() == "2"


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite", "fsync"])
@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full\n  help: nothing was left behind"),
        (errno.EROFS, "no permission to write in"),
        (errno.EIO, "cannot be written: Input/output error\n  help: choose another -o"),
    ],
)
def test_a_disk_that_fails_is_named_and_leaves_what_was_there(
    name: str, call: str, number: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / name, 1)
    before = seen(tmp_path)
    monkeypatch.setattr(sink.os, call, fail_with(number))
    with pytest.raises(OutputError, match=message):
        write(tmp_path / name, 2, force=True)
    assert seen(tmp_path) == before
    assert not (tmp_path / f".{name}.partial").exists()


def test_a_limit_of_the_system_itself_is_met_before_the_first_block(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from alnico.checkpoint.output import Out, OutputError, new_model\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try:\n"
        "    with new_model(Path(sys.argv[1]), [Out('a', 'U8', (20_000,))], key=''):\n"
        "        print('begun')\n"
        "except OutputError as error: print(error)"
    )
    run = [sys.executable, "-c", code, str(tmp_path / "out")]
    text = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert text.startswith(f"{tmp_path}/out cannot be written: File too large")
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_that_was_never_finished_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="2 of 3 tensors were never finished, 'a' the first"),
        new_model(tmp_path / "out", OUTS, key="") as sink,
    ):
        sink.put("b", 0, np.zeros(3, np.uint8))
        sink.finish("b", "")
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_read_back_is_not_kept(tmp_path: Path) -> None:
    place = tmp_path / "out"
    for text, message in [
        (b"\xff" * 8, "model.safetensors does not read back: .* its header claims"),
        (b"", "does not read back"),
    ]:
        with pytest.raises(OutputError, match=message), new_model(place, [], key="") as sink:
            sink.files[0].write_bytes(text)
    with (
        pytest.raises(OutputError, match=r"model.safetensors does not read back as it was"),
        new_model(place, [], key="") as sink,
        new_model(tmp_path / "x.safetensors", [Out("a", "U8", (0,))], key="") as other,
    ):
        other.put("a", 0, np.zeros(0, np.uint8))
        other.finish("a", "")
        sink.files[0].write_bytes(other.files[0].read_bytes())
    assert sorted(seen(tmp_path)) == ["x.safetensors"]


def test_a_bad_place_is_known_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "x.run.json").write_text("")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("")
    for name, force, message in [
        ("file", True, "file is a file, not a folder"),
        ("file/out", False, "file is not a folder"),
        ("none/out", False, "mkdir -p"),
        ("folder.safetensors", True, "is a folder, not a file"),
        ("x.safetensors", False, r"x.run.json is there already"),
        ("home", True, "holds no model, so it is not replaced"),
    ]:
        with pytest.raises(OutputError, match=message):
            check_output(tmp_path / name, force=force)
        with pytest.raises(OutputError, match=message):
            write(tmp_path / name, force=force)
    with (
        pytest.raises(RecipeError, match=r"one file, which has no shards\n  help: .*-o .*/x$"),
        new_model(tmp_path / "x.safetensors", [], key="", shard_bytes=9),
    ):
        pass
    (tmp_path / "home" / "letter.txt").unlink()
    write(tmp_path / "home", force=True)

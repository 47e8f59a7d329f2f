from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from alnico import progress
from alnico.checkpoint import side_files
from alnico.checkpoint.side_files import copy_side_files
from alnico.errors import DataError, OutputError

# fmt: off
COPIED = [
    "1_Pooling/config.json", "LICENSE", "LICENSE.txt", "NOTICE.md", "added_tokens.json",
    "additional_chat_templates/tool_use.jinja", "bpe.codes", "chat_template.jinja",
    "chat_template.json", "config_sentence_transformers.json", "generation_config.json",
    "merges.txt", "modeling_own.py", "modules.json", "normalizer.json",
    "preprocessor_config.json", "processor_config.json", "qwen.tiktoken",
    "sentence_bert_config.json", "sentencepiece.bpe.model", "source.spm",
    "special_tokens_map.json", "spiece.model", "tekken.json", "tokenizer.json",
    "tokenizer.model", "tokenizer_config.json", "video_preprocessor_config.json", "vocab.json",
    "vocab.txt",
]
LEFT = [
    ".gitattributes", ".tokenizer.json", "README.md", "config.json", "model.safetensors",
    "model-00001-of-2.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json", "run.json", "training_args.bin", "tokenizer.pkl",
    "tokenizer.safetensors", "vocab.pt", "vocab.npy", "optimizer.pt", "sub/tokenizer.json",
    "additional_chat_templates/other.txt", "tokenizer/vocab.json", "events.out", "notes.txt",
]
# fmt: on


def fill(folder: Path, names: list[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def copy(source: Path, folder: Path, **options: list[str]) -> tuple[list[str], list[str]]:
    """What was copied, and what was said of it."""
    folder.mkdir()
    said: list[str] = []
    with progress.listen(lambda event: said.append(f"{event.what}: {event.phase.text}")):
        return copy_side_files(source, folder, **options), said


def test_everything_beside_weights_and_config_is_copied_byte_by_byte(tmp_path: Path) -> None:
    source, folder = fill(tmp_path / "in", [*COPIED, *LEFT]), tmp_path / "out"
    assert copy(source, folder) == (sorted(COPIED), [])
    found = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert found == {name: name for name in COPIED}


def test_what_the_caller_writes_itself_is_skipped(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", ["tokenizer.json", "merges.txt", "1_Pooling/config.json"])
    found, _ = copy(source, tmp_path / "out", skip=["tokenizer.json", "1_Pooling/config.json"])
    assert found == ["merges.txt"]


def test_code_is_copied_and_neither_run_nor_runnable(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", ["model.py"])
    (source / "model.py").write_text("raise SystemExit('it ran')")
    (source / "model.py").chmod(0o777)
    code = "import sys; from pathlib import Path\n"
    code += "from alnico.checkpoint.side_files import copy_side_files\n"
    code += "copy_side_files(Path(sys.argv[1]), Path(sys.argv[2]))"
    (tmp_path / "out").mkdir()
    subprocess.run([sys.executable, "-c", code, source, tmp_path / "out"], check=True, cwd=source)
    copied = tmp_path / "out" / "model.py"
    assert "it ran" in copied.read_text() and not stat.S_IMODE(copied.stat().st_mode) & 0o111


def test_what_is_no_plain_file_of_the_folder_is_not_opened_and_this_is_said(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", ["merges.txt"])
    (tmp_path / "secret").write_text("key")
    (source / "tokenizer.json").symlink_to(tmp_path / "secret")
    (source / "vocab.json").symlink_to("merges.txt")
    (source / "vocab.txt").symlink_to("gone")
    os.mkfifo(source / "tokenizer.model")
    found, said = copy(source, tmp_path / "out")
    assert found == ["merges.txt", "vocab.json"]
    assert not (tmp_path / "out" / "vocab.json").is_symlink()
    assert [text.replace(f"{tmp_path}/", "") for text in said] == [
        "warning: in/tokenizer.json is not copied: it is a link that leaves in",
        "warning: in/tokenizer.model is not copied: it is not a plain file",
        "warning: in/vocab.txt is not copied: it cannot be opened: No such file or directory",
    ]


def test_a_hub_cache_is_copied_through_its_links(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--name" / "snapshots" / "abc"
    fill(snapshot.parents[1] / "blobs", ["1234"])
    snapshot.mkdir(parents=True)
    (snapshot / "tokenizer.json").symlink_to("../../blobs/1234")
    assert copy(snapshot, tmp_path / "out") == (["tokenizer.json"], [])
    assert (tmp_path / "out" / "tokenizer.json").read_text() == "1234"


def test_only_a_tokenizer_may_be_large(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", ["tekken.json", "tokenizer.json"])
    for name in ("tekken.json", "tokenizer.json"):
        os.truncate(source / name, side_files.MAX_BYTES + 1)  # sparse: takes no room
    (source / "tokenizer.json").write_text("{}")
    found, said = copy(source, tmp_path / "out")
    assert found == ["tokenizer.json"]
    assert said[0].endswith(
        "tekken.json is not copied: it has 100 000 001 bytes, more than 100 000 000"
    )


def test_weights_of_a_module_beside_the_model_are_said_to_be_missing(tmp_path: Path) -> None:
    names = ["modules.json", "2_Dense/config.json", "2_Dense/model.safetensors"]
    found, said = copy(fill(tmp_path / "in", names), tmp_path / "out")
    assert found == ["2_Dense/config.json", "modules.json"]
    assert len(said) == 1 and "2_Dense/model.safetensors holds weights of a module" in said[0]


def test_what_cannot_be_read_or_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "in", ["merges.txt"])
    fill(tmp_path / "taken", ["merges.txt"])
    with pytest.raises(OutputError, match=r"taken/merges.txt cannot be written: File exists"):
        copy_side_files(source, tmp_path / "taken")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OutputError, match=r"out/merges.txt cannot be written: the disk is full"):
        copy(source, tmp_path / "out")

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(DataError, match=r"in/merges.txt cannot be read: Permission denied"):
        copy(source, tmp_path / "out2")

"""What a model's folder holds beside weights and config: copied as it is, and never run."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from alnico.checkpoint.files import writing
from alnico.checkpoint.links import stays_inside
from alnico.errors import DataError
from alnico.progress import spaced, warn

MAX_BYTES = 100_000_000
"""How large a side file may be that is not a tokenizer's."""

_NAMES = (
    "generation_config.json",
    # tokenizers
    "tokenizer*",
    "vocab.*",
    "vocab*.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "normalizer.json",
    "tekken.json",
    "bpe.codes",
    "*.model",
    "*.tiktoken",
    "*.spm",
    "chat_template.json",
    "*.jinja",
    "additional_chat_templates/*.jinja",
    # what makes inputs of images, sound and video
    "*processor_config.json",
    "audio_tokenizer_config.json",
    # how sentence-transformers joins its modules
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "[0-9]_*/config.json",
    # code and terms
    "*.py",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
)
_WEIGHTS = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".gguf"),
    *(".npz", ".npy", ".pkl", ".pickle", ".joblib", ".index.json"),
)


def copy_side_files(source: Path, folder: Path, *, skip: Collection[str] = ()) -> list[str]:
    """Copy tokenizer, templates, preprocessors, code and licences; no weights, config or README.

    What has the name of such a file and is not copied, is said: a link that leaves the folder,
    something that is no plain file, or one that is too large; and weights of a module beside the
    model, which no merge sees.

    Args:
        source: A model's folder.
        folder: Where they are copied to.
        skip: Names that are not copied, as they come from elsewhere.

    Returns:
        The names of those that were copied, in order.

    Raises:
        DataError: If one cannot be read.
        OutputError: If one cannot be written.
    """
    copied = []
    for path in _side_files(source):
        name = path.relative_to(source).as_posix()
        if name in skip:
            continue
        fault = _fault(path, source)
        if fault is None:
            _copy(path, folder / name)
            copied.append(name)
        else:
            warn(f"{path} is not copied: {fault}", help="copy it yourself if the model needs it")
    for path in sorted(source.glob("[0-9]_*/*")):
        if path.suffix in _WEIGHTS:
            warn(
                f"{path} holds weights of a module of its own, which are not merged or copied",
                help="copy it yourself from the model that should give it",
            )
    return copied


def _side_files(source: Path) -> Iterator[Path]:
    found = {path for pattern in _NAMES for path in source.glob(pattern)}
    for path in sorted(found):
        is_hidden = path.name.startswith(".")
        if not is_hidden and not path.name.endswith(_WEIGHTS) and not path.is_dir():
            yield path


def _fault(path: Path, source: Path) -> str | None:
    """Why a file cannot be copied, or None."""
    if not stays_inside(path, source):
        return f"it is a link that leaves {source}"
    try:
        found = path.stat()
    except OSError as error:
        return f"it cannot be opened: {error.strerror or error}"
    if not stat.S_ISREG(found.st_mode):
        return "it is not a plain file"
    if found.st_size > MAX_BYTES and not path.name.startswith("tokenizer"):
        return f"it has {spaced(found.st_size)} bytes, more than {spaced(MAX_BYTES)}"
    return None


def _copy(path: Path, target: Path) -> None:
    try:
        source = path.open("rb")
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}", help="check its permissions"
        ) from error
    with source, writing(target):
        target.parent.mkdir(exist_ok=True)
        with target.open("xb") as copy:
            shutil.copyfileobj(source, copy, 2**20)

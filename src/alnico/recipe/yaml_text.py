"""YAML as recipes use it, read with care: no tag is obeyed, and every key and value has its line.

What is read is plain data within stated limits. A key is always the text that stands there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from alnico.checkpoint.regular import RegularFile
from alnico.errors import RecipeError, UnsafeFileError
from alnico.recipe.faults import fault_at, shown
from alnico.recipe.located import Located as Located
from alnico.recipe.located import resolve

if TYPE_CHECKING:
    from yaml.events import Event

MAX_BYTES = 2**20
MAX_NODES = 100_000
"""Keys and values of a file, each alias counted with all that it stands for."""

MAX_DEPTH = 64


def read_yaml(path: Path) -> Located:
    """Read a file that holds one YAML document.

    Raises:
        DataError: If there is no such file.
        RecipeError: If it is too large, not YAML in UTF-8, or not one document; if a key occurs
            twice in a mapping; or if it has tags or is nested too deeply.
        UnsafeFileError: If it is no plain file, asks for code to be run, or holds aliases that
            grow without bound.
    """
    documents = read_documents(path)
    if len(documents) > 1:
        line = documents[1].line
        raise fault_at(path, line, "a second document begins here", "a recipe is one document")
    return documents[0]


def read_documents(path: Path) -> list[Located]:
    """Read a file of one or more YAML documents, divided by `---`.

    Raises:
        DataError: As `read_yaml` does.
        RecipeError: As `read_yaml` does, but for the number of documents.
        UnsafeFileError: As `read_yaml` does.
    """
    documents = parse_documents(_read_text(path), path)
    if not documents or all(document.value is None for document in documents):
        raise RecipeError(f"{path} says nothing", help="a recipe names models and steps")
    return documents


def parse_documents(text: str, path: Path) -> list[Located]:
    """The documents of a YAML text.

    Args:
        text: The text.
        path: What messages call it by.

    Raises:
        RecipeError: As `read_documents` does.
        UnsafeFileError: As `read_documents` does.
    """
    import yaml  # 20 ms that a merge without a recipe need not pay

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(path).build(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        said = " ".join(part for part in (error.context, error.problem) if part)
        raise fault_at(path, line, f"this is not YAML: {said}", _tabs(text, line)) from None
    except yaml.YAMLError as error:
        said = str(error).partition("\n")[0]
        raise RecipeError(f"{path} is not YAML: {said}", help="save it as plain text") from None


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise RecipeError(f"{path} is a folder, not a recipe", help="give the YAML file itself")
    with RegularFile(path) as file:
        if file.size > MAX_BYTES:
            raise RecipeError(
                f"{path} has {file.size} bytes, and a recipe at most {MAX_BYTES}",
                help="a recipe names models; it does not hold them",
            )
        data = bytes(file.read(0, file.size))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fault_at(path, line, "this is not UTF-8", "save the file in UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise fault_at(path, line, "there is a NUL byte", "save the file as plain text")
    return text


def _tabs(text: str, line: int) -> str | None:
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    return (
        "indent with spaces, not tabs" if "\t" in here[: len(here) - len(here.lstrip())] else None
    )


class _Made(NamedTuple):
    """A finished value, what it counts with all that is in it, and whether it is a plain scalar."""

    value: Located
    n_nodes: int = 1
    height: int = 1
    is_plain: bool = False


@dataclass
class _Open:
    """A list or mapping whose end was not reached yet."""

    line: int
    anchor: str | None
    is_mapping: bool
    children: list[_Made] = field(default_factory=list)


class _Builder:
    """Values from the events of a parser: without recursion, so that limits hold at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_nodes = 0
        self.documents: list[Located] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, _Made | None] = {}

    def build(self, events: Iterator[Event]) -> list[Located]:
        """The documents that the events tell of."""
        from yaml import events as kinds

        for event in events:
            line = 1 if event.start_mark is None else event.start_mark.line + 1
            if isinstance(event, kinds.ScalarEvent):
                self._refuse_tag(event.tag, line)
                self._add_scalar(event.value, event.implicit[0], event.anchor, line)
            elif isinstance(event, kinds.AliasEvent):
                found = self._find(str(event.anchor), line)
                self._place(found, found.n_nodes, line)
            elif isinstance(event, kinds.DocumentStartEvent):
                self.anchors = {}
            elif isinstance(event, kinds.CollectionStartEvent):
                self._refuse_tag(event.tag, line)
                is_mapping = isinstance(event, kinds.MappingStartEvent)
                self._open(_Open(line, event.anchor, is_mapping))
            elif isinstance(event, kinds.CollectionEndEvent):
                self._close()
        return self.documents

    def _add_scalar(self, text: str, is_plain: bool, anchor: str | None, line: int) -> None:
        value = resolve(text) if is_plain else text
        made = _Made(Located(value, line, text=text), is_plain=is_plain)
        if anchor is not None:
            self.anchors[anchor] = made
        self._place(made, 1, line)

    def _open(self, opened: _Open) -> None:
        self._check_depth(len(self.stack) + 1, opened.line)
        if opened.anchor is not None:
            self.anchors[opened.anchor] = None
        self.stack.append(opened)

    def _close(self) -> None:
        done = self.stack.pop()
        value = self._mapping(done) if done.is_mapping else self._list(done)
        n_nodes = 1 + sum(child.n_nodes for child in done.children)
        height = 1 + max((child.height for child in done.children), default=0)
        made = _Made(value, n_nodes, height)
        if done.anchor is not None:
            self.anchors[done.anchor] = made
        self._place(made, 1, done.line)  # what is in it was counted when it was placed

    def _place(self, made: _Made, n_new: int, line: int) -> None:
        """Put a value where it stands: into what is open, or at the top."""
        self._check_depth(len(self.stack) + made.height, line)
        self.n_nodes += n_new
        if self.n_nodes > MAX_NODES:
            raise UnsafeFileError(
                f"{self.path} is refused: with its aliases it has more than {MAX_NODES} values",
                help="a recipe of that size is damaged, or was made to exhaust memory",
            )
        if self.stack:
            self.stack[-1].children.append(made)
        else:
            self.documents.append(made.value)

    def _check_depth(self, depth: int, line: int) -> None:
        if depth > MAX_DEPTH:
            raise fault_at(self.path, line, f"this is nested deeper than {MAX_DEPTH} levels")

    def _find(self, anchor: str, line: int) -> _Made:
        if anchor not in self.anchors:
            raise fault_at(self.path, line, f"no anchor &{anchor} stands before this *{anchor}")
        found = self.anchors[anchor]
        if found is None:
            raise UnsafeFileError(
                f"{self.path} is refused: *{anchor} stands in what it stands for, line {line}",
                help="write out what is meant",
            )
        return found

    def _refuse_tag(self, tag: str | None, line: int) -> None:
        if tag is None:
            return
        short = tag.replace("tag:yaml.org,2002:", "!!")
        if short.startswith("!!python/"):
            raise UnsafeFileError(
                f"{self.path} is refused: {short} in line {line} asks for code to be run",
                help="write the value itself; alnico obeys no tag",
            )
        raise fault_at(self.path, line, f"the tag {shown(short)} is not obeyed", "leave it out")

    def _list(self, done: _Open) -> Located:
        return Located([child.value for child in done.children], done.line)

    def _mapping(self, done: _Open) -> Located:
        """A mapping from keys and values in turn; what `<<` brings stands behind its own."""
        values: dict[str, Located] = {}
        lines: dict[str, int] = {}
        merged: list[Located] = []
        merge_line = None
        for (key, _, _, is_plain), (value, *_) in zip(
            done.children[::2], done.children[1::2], strict=True
        ):
            if key.text is None:
                raise fault_at(self.path, key.line, "a key must be a text, not a list or a mapping")
            is_merge = key.text == "<<" and is_plain
            first = merge_line if is_merge else lines.get(key.text)
            if first is not None:
                text = f"the key {shown(key.text)} stands here and in line {first}"
                raise fault_at(self.path, key.line, text, "leave one of them out")
            if is_merge:
                merge_line = key.line
                merged = value.value if isinstance(value.value, list) else [value]
            else:
                values[key.text], lines[key.text] = value, key.line
        for other in merged:
            if not isinstance(other.value, dict):
                assert merge_line is not None
                raise fault_at(self.path, merge_line, "<< takes a mapping, or a list of them")
            for name, value in other.value.items():
                if name not in values:
                    values[name], lines[name] = value, other.key_lines[name]
        return Located(values, done.line, key_lines=lines)

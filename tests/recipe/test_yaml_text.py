from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alnico.errors import AlnicoError, DataError, RecipeError, UnsafeFileError
from alnico.recipe.yaml_text import MAX_NODES, parse_documents, read_documents, read_yaml

HERE = Path("pets.yaml")


def parse(text: str) -> object:
    (document,) = parse_documents(text, HERE)
    return document.plain()


def test_every_key_and_value_knows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "pets.yaml"
    path.write_text("# a comment\nmodels:\n  cats: ./cats\n\n  dogs:\n    - 1\n    - [2, 3]\n")
    found = read_yaml(path)
    assert found.plain() == {"models": {"cats": "./cats", "dogs": [1, [2, 3]]}}
    assert found.lines() == {
        (): 2,
        ("models",): 2,
        ("models", "cats"): 3,
        ("models", "dogs"): 5,
        ("models", "dogs", 0): 6,
        ("models", "dogs", 1): 7,
        ("models", "dogs", 1, 0): 7,
        ("models", "dogs", 1, 1): 7,
    }


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text("abyn01 :-'\"#~é\n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcxyz<", min_size=1, max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain_values, st.booleans())
def test_what_another_library_writes_is_read_back(value: object, flow: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    assert parse(text) == value


def test_keys_are_texts_as_they_are_written() -> None:
    assert parse("on: 1\nno: 2\n3: 4\n~: 5\n1e3: 6") == dict(
        zip(["on", "no", "3", "~", "1e3"], [1, 2, 4, 5, 6], strict=True)
    )


def test_merge_keys_bring_what_is_not_there() -> None:
    text = """
    a: &a {x: 1, y: 2}
    b: &b {y: 3, z: 4}
    one: {<<: *a, y: 0}
    two:
      z: 0
      <<: [*a, *b]
    quoted: {"<<": 1}
    """
    found = parse(text)
    assert found == yaml.safe_load(text) | {"quoted": {"<<": 1}}
    (document,) = parse_documents(text, HERE)
    assert document.lines()[("two", "y")] == 2  # where it was written


@pytest.mark.parametrize("value", ["3", "[1]", "[{a: 1}, 2]", "~"])
def test_a_merge_key_takes_mappings_alone(value: str) -> None:
    with pytest.raises(
        RecipeError, match=r"<< takes a mapping, or a list of them\n  --> pets\.yaml:2"
    ):
        parse(f"a: 1\n<<: {value}\n")


def test_a_key_that_occurs_twice_is_a_fault_with_both_lines() -> None:
    with pytest.raises(RecipeError) as error:
        parse("a: 1\nb:\n  density: 1\n  weight: 2\n  density: 3\n")
    assert str(error.value) == (
        "the key 'density' stands here and in line 3\n  --> pets.yaml:5\n"
        "  help: leave one of them out"
    )
    with pytest.raises(RecipeError, match="the key '<<' stands here and in line 2"):
        parse("a: &a {}\n<<: *a\n<<: *a\n")


@pytest.mark.parametrize("key", ["[1]", "{a: 1}", "*a"])
def test_a_key_that_is_no_text_is_a_fault(key: str) -> None:
    with pytest.raises(RecipeError, match="a key must be a text, not a list or a mapping"):
        parse(f"a: &a [1]\n? {key}\n: b\n")


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['echo no']",
        "a: !!python/name:os.system",
        "!!python/object/new:subprocess.Popen {}",
        "%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system [x]",
        "- 1\n- !!python/tuple [1]",
    ],
)
def test_tags_that_would_run_code_are_refused_as_unsafe(text: str) -> None:
    with pytest.raises(UnsafeFileError, match=r"pets.yaml is refused: !!python/.* in line \d") as e:
        parse(text)
    assert e.value.exit_code == 4


@pytest.mark.parametrize("tag", ["!!str", "!mine", "!", "!!set", "!<tag:yaml.org,2002:int>"])
def test_other_tags_are_faults(tag: str) -> None:
    with pytest.raises(RecipeError, match=r"the tag '!.*' is not obeyed\n  --> pets.yaml:2"):
        parse(f"a: 1\nb: {tag} 2\n")


def bomb(levels: int, width: int) -> str:
    lines = [f"a0: &a0 [{', '.join('x' * width)}]"]
    for n in range(1, levels):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]")
    return "\n".join(lines)


def n_values(value: object) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + n_values(inner) for inner in value.values())
    return 1 + sum(map(n_values, value)) if isinstance(value, list) else 1


def test_aliases_count_with_what_they_stand_for() -> None:
    below = yaml.safe_load(bomb(5, 9))
    assert n_values(below) < MAX_NODES < n_values(yaml.safe_load(bomb(6, 9)))
    assert parse(bomb(5, 9)) == below
    merged = "a: &a {" + ", ".join(f"k{i}: x" for i in range(900)) + "}\n"
    merged += "".join(f"b{i}: {{<<: *a}}\n" for i in range(100))
    for text in (bomb(6, 9), bomb(200, 9), merged):
        with pytest.raises(UnsafeFileError, match="with its aliases it has more than 100000 valu"):
            parse(text)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {c: *a}}", "&x [1, {y: *x}]"])
def test_anchors_that_stand_in_themselves_are_refused(text: str) -> None:
    with pytest.raises(UnsafeFileError, match="stands in what it stands for, line 1"):
        parse(text)


def test_an_alias_without_an_anchor_is_a_fault() -> None:
    with pytest.raises(
        RecipeError, match=r"no anchor &b stands before this \*b\n  --> pets.yaml:2"
    ):
        parse("a: &a 1\nb: *b\n")
    with pytest.raises(RecipeError, match="no anchor &a"):
        parse_documents("a: &a 1\n---\nb: *a\n", HERE)


def test_depth_is_bounded_with_aliases_and_without() -> None:
    deep = "[" * 64 + "]" * 64
    assert parse_documents(deep[1:-1], HERE)
    for text in ("[" + deep + "]", "- " * 65 + "x", "{a: " * 65 + "1" + "}" * 65):
        with pytest.raises(RecipeError, match="nested deeper than 64 levels"):
            parse(text)
    chain = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(100))
    with pytest.raises(RecipeError, match=r"nested deeper than 64 levels\n  --> pets\.yaml:6"):
        parse(chain)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\nb: c: d\n", "mapping values are not allowed in this context\n  --> pets.yaml:2"),
        ("a:\n\t- b\n", "pets.yaml:2\n  help: indent with spaces, not tabs"),
        ("a: [1, 2\nb: 3\n", "this is not YAML: "),
        ("a: 'x\n", "this is not YAML: "),
        ("a: \x07\n", "pets.yaml is not YAML: "),
        ("- a\nb: 1", "this is not YAML: "),
    ],
)
def test_what_is_not_yaml_is_said_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse(text)
    assert fault in str(error.value)


def test_documents_are_one_unless_asked_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text("a: 1\n---\nb: 2\n")
    assert [document.plain() for document in read_documents(path)] == [{"a": 1}, {"b": 2}]
    with pytest.raises(RecipeError, match=r"a second document begins here\n  --> .*two.yaml:3"):
        read_yaml(path)
    for empty in ("", "\n# nothing\n", "---\n...\n"):
        path.write_text(empty)
        with pytest.raises(RecipeError, match=r"two\.yaml says nothing"):
            read_documents(path)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pets.yaml"
    path.write_bytes("a: 1\nb: \u00e9\n".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"this is not UTF-8\n  --> .*pets.yaml:2"):
        read_yaml(path)
    path.write_bytes("a: 1".encode("utf-16"))
    with pytest.raises(RecipeError, match="this is not UTF-8"):
        read_yaml(path)
    path.write_bytes(b"a: 1\nb: 2\0\n")
    with pytest.raises(RecipeError, match=r"there is a NUL byte\n  --> .*pets.yaml:2"):
        read_yaml(path)
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(path).plain() == {"a": 1, "b": 2}


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsafeFileError, match="it is not a plain file"):
        read_yaml(tmp_path / "pipe")
    with pytest.raises(UnsafeFileError, match="it is not a plain file"):
        read_yaml(Path("/dev/zero"))
    with pytest.raises(RecipeError, match="is a folder, not a recipe"):
        read_yaml(tmp_path)
    with pytest.raises(DataError, match="there is no file"):
        read_yaml(tmp_path / "none.yaml")


def test_ten_megabytes_are_refused_by_their_size(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("a: 1\n" * 2_000_000)
    start = time.process_time()
    with pytest.raises(RecipeError, match="has 10000000 bytes, and a recipe at most 1048576"):
        read_yaml(path)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    "text",
    [
        "- a\n" * 250_000,
        "[" * 10**6,
        "{a: 1, " * 100_000,
        "[" + "? a, " * 200_000,
        "--- a\n" * 170_000,
    ],
    ids=["long", "deep", "flow", "keys", "documents"],
)
def test_hostile_files_are_refused_within_their_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(AlnicoError):
        parse_documents(text, HERE)
    assert time.process_time() - start < 3  # about 0.4 s on an idle machine


def test_reading_recipes_needs_no_torch() -> None:
    code = "import sys, alnico.recipe.yaml_text; assert not {'torch', 'yaml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

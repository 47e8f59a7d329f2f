from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from alnico.checkpoint.card import write_card
from alnico.errors import OutputError

RECIPE = """
models:
  cats: /home/me/my models/cats
  dogs: {path: /data/dogs.safetensors, weight: 0.5}
  web: org/name@main
base: ../base
plugin: ~/code/own.py    # and "/mnt/other/x.py", but not half/half or https://example.org/a/b
"""
MODELS = [
    {"path": "/home/me/my models/cats", "files": {"a.safetensors": "12ab", "b|`.x": "34cd"}},
    {"path": "/data/dogs.safetensors"},
    {"path": "org/name@main", "revision": "0f" * 20, "files": {}},
]


def card(folder: Path, **changes: object) -> str:
    given: dict[str, object] = {
        "title": "pets",
        "method": "ties",
        "recipe_yaml": RECIPE,
        "models": MODELS,
        "base": {"path": "../base", "files": {"model.safetensors": "56ef"}},
        "seed": 3,
        "versions": {"alnico": "1.2", "numpy": "2.4"},
        "notes": [],
    }
    write_card(folder, **given | changes)  # type: ignore[arg-type]
    return (folder / "README.md").read_text("utf-8")


def front(text: str) -> dict[str, object]:
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_a_hub_reads_tags_and_those_models_that_it_knows(tmp_path: Path) -> None:
    assert front(card(tmp_path)) == {"base_model": ["org/name"], "tags": ["merge", "alnico"]}
    (tmp_path / "config.json").write_text("{}")
    text = card(tmp_path, models=MODELS[:1], base={"path": "org/base"})
    assert front(text) == {
        "base_model": ["org/base"],
        "library_name": "transformers",
        "tags": ["merge", "alnico"],
    }


def test_a_folder_on_disk_is_no_model_of_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert "base_model" not in front(card(tmp_path, models=[{"path": "org/name"}], base=None))
    part = [{"path": "org/name (language_model.*)"}]
    assert "base_model" not in front(card(tmp_path, models=part, base=None))


def test_of_a_part_of_a_model_a_hub_reads_the_model(tmp_path: Path) -> None:
    text = card(tmp_path, models=[{"path": "org/vlm@v1 (language_model.*)"}], base=None)
    assert front(text)["base_model"] == ["org/vlm"]
    assert "| 1 | `org/vlm@v1 (language_model.*)` |" in text


def test_the_table_has_a_row_for_each_file_and_the_base(tmp_path: Path) -> None:
    rows = [line for line in card(tmp_path).splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "| 1 | `cats` |  | `a.safetensors` | `12ab` |",
        "| 1 | `cats` |  | `b\\|'.x` | `34cd` |",
        "| 2 | `dogs.safetensors` |  |  |  |",
        f"| 3 | `org/name@main` | `{'0f' * 20}` |  |  |",
        "| base | `../base` |  | `model.safetensors` | `56ef` |",
    ]


def test_the_recipe_stays_yaml_and_tells_nothing_of_the_machine(tmp_path: Path) -> None:
    text = card(tmp_path, notes=["/home/me/my models/cats has no 'x'", "in /tmp/a b"])
    found = re.search(r"^```yaml\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    assert yaml.safe_load(found[1]) == {
        "models": {
            "cats": "cats",
            "dogs": {"path": "dogs.safetensors", "weight": 0.5},
            "web": "org/name@main",
        },
        "base": "../base",
        "plugin": "own.py",
    }
    assert '# and "x.py", but not half/half or https://example.org/a/b' in text
    assert "- cats has no 'x'\n- in a b\n" in text
    assert not re.search(r"home|data/|mnt|tmp|code", text)


def test_paths_of_windows_are_shortened_too(tmp_path: Path) -> None:
    path = r"C:\Users\me\cats"
    text = card(
        tmp_path, models=[{"path": path}], recipe_yaml=f"a: {path}\nb: D:/x/dogs", base=None
    )
    assert "a: cats\nb: dogs\n" in text and "| 1 | `cats` |" in text and "Users" not in text


def test_a_recipe_with_fences_cannot_end_its_block(tmp_path: Path) -> None:
    text = card(tmp_path, recipe_yaml="a: |\n  ```\n  # not a heading\n  ````\n")
    assert "`````yaml\na: |\n  ```\n  # not a heading\n  ````\n`````\n" in text


def test_seed_versions_and_notes_are_there_if_there_are_any(tmp_path: Path) -> None:
    text = card(tmp_path, notes=["one\n# two"], title="a\n# b")
    assert "\nSeed 3, alnico 1.2, numpy 2.4.\n\n## Notes\n\n- one # two\n" in text
    assert "\n# a # b\n\nA merge of 3 models by `ties`" in text
    text = card(tmp_path, seed=None, versions={}, models=MODELS[:1])
    assert "Seed" not in text and "Notes" not in text and "A merge of 1 model by" in text
    assert text.endswith("```\n")


def test_a_card_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"README.md cannot be written"):
        card(tmp_path / "none")

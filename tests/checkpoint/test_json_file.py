"""Configs and indices that are too large, too deep, of no sound JSON, or no files."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from alnico.checkpoint.json_file import MAX_CONFIG, read_config, read_index_file
from alnico.errors import DataError, UnsafeFileError

FAULTY = {
    "NaN": (b'{"a": NaN}', "NaN is no JSON"),
    "not a mapping": (b"[1, 2]", "it is not a mapping"),
    "nothing": (b"", "Expecting value"),
    "cut": (b'{"a": 1', "Expecting"),
    "two thousand lists": (b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", "nested"),
    "two hundred lists": (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "nested more than 100 deep"),
    "a key twice": (b'{"a": 1, "a": 2}', "a name occurs twice"),
    "a number of many digits": (b'{"n": 1' + b"0" * 10_000 + b"}", "integer string"),
    "not UTF-8": (b'{"a": "\xff"}', "can't decode"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_what_is_not_sound_is_refused_by_name(case: str, tmp_path: Path) -> None:
    data, fault = FAULTY[case]
    (tmp_path / "config.json").write_bytes(data)
    for read in (read_config, read_index_file):
        with pytest.raises(DataError, match=rf"config\.json is not sound: .*{fault}"):
            read(tmp_path / "config.json")


def test_a_hundred_megabytes_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.touch()
    os.truncate(path, MAX_CONFIG + 1)
    with pytest.raises(DataError, match=r"it has 16 777 217 bytes, more than 16 777 216"):
        read_config(path)
    os.truncate(path, 100_000_001)
    with pytest.raises(DataError, match=r"more than 100 000 000"):
        read_index_file(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(UnsafeFileError, match="it is not a plain file"):
        read_config(tmp_path / "config.json")


def test_a_config_with_any_number_of_layers_is_a_config(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    config = {"num_hidden_layers": 10**9, "time_step_limit": [0.0, math.inf], "deep": [[[{}]]]}
    path.write_text(json.dumps(config))  # Python writes Infinity, as Mamba's configs have it
    assert read_config(path) == config
    with pytest.raises(DataError, match="Infinity is no JSON"):
        read_index_file(path)

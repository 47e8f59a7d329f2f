from __future__ import annotations

from alnico.merging.vocabulary.settings import new_numbers, new_sizes


def test_every_number_of_tokens_is_changed_that_was_a_tensors_length() -> None:
    config = {
        "vocab_size": 100,
        "hidden_size": 100,
        "text_config": {"vocab_size": 100, "vocab_size_per_layer_input": 90},
        "vision_config": {"vocab_size": 100},
    }
    found = new_sizes(config, {100: 104, 90: 90})
    assert found == {("vocab_size",): 104, ("text_config", "vocab_size"): 104}


def test_a_number_that_is_no_tensors_length_is_left() -> None:
    assert new_sizes({"vocab_size": 97}, {100: 104}) == {}
    assert new_sizes({"vocab_size": 100}, {100: 100}) == {}


def test_tokens_keep_their_meaning_in_another_vocabulary() -> None:
    config = {
        "bos_token_id": 1,
        "eos_token_id": [2, 3],
        "pad_token_id": None,
        "image_token_index": 7,
        "begin_suppress_tokens": [5, 6],
        "num_token_ids": 9,
        "hidden_size": 1,
        "text_config": {"eos_token_id": 2, "sep_token_id": 8},
    }
    moved = {1: 11, 2: 12, 3: 13, 5: None, 6: 16, 7: 17, 8: None}
    assert new_numbers(config, moved, {}) == {
        ("bos_token_id",): 11,
        ("eos_token_id",): [12, 13],
        ("image_token_index",): 17,
        ("begin_suppress_tokens",): [16],
        ("text_config", "eos_token_id"): 12,
        ("text_config", "sep_token_id"): None,
    }


def test_the_owner_of_the_vocabulary_knows_its_own_tokens_best() -> None:
    config = {"eos_token_id": 2, "text_config": {"bos_token_id": 1}, "pad_token_id": 4}
    owner = {"eos_token_id": [8, 9], "text_config": {"bos_token_id": 5}, "pad_token_id": None}
    assert new_numbers(config, {2: 12, 1: 11, 4: 14}, owner) == {
        ("eos_token_id",): [8, 9],
        ("text_config", "bos_token_id"): 5,
        ("pad_token_id",): 14,
    }


def test_what_stays_is_no_change() -> None:
    config = {"bos_token_id": 1, "eos_token_id": 2, "vision_config": {"hidden_size": 3}}
    assert new_numbers(config, {1: 1}, {"eos_token_id": 2}) == {}

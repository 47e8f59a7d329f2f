from __future__ import annotations

import threading

import numpy as np
import xxhash

from alnico.merging import digests
from alnico.merging.blocks import BLOCK
from alnico.merging.digests import TensorDigest, digest_model, digest_tensor
from alnico.merging.steps import Form

FORM = Form("F32", (2 * BLOCK + 5,))
VALUES = np.random.default_rng(0).standard_normal(FORM.n_entries, np.float32)


def by_hand(values: np.ndarray) -> str:
    data, size = values.tobytes(), BLOCK * values.itemsize
    parts = [xxhash.xxh3_128(data[at : at + size]).digest() for at in range(0, len(data), size)]
    return xxhash.xxh3_128(b"".join(parts)).hexdigest()


def read(start: int, stop: int) -> np.ndarray:
    return VALUES[start:stop]


def test_a_tensors_digest_is_that_of_its_blocks_digests() -> None:
    assert digest_tensor(FORM, read) == by_hand(VALUES)
    assert digest_tensor(Form("U8", ()), lambda *_: np.uint8([3])) == by_hand(np.uint8([3]))
    changed = VALUES.copy()
    changed[-1] += 1
    assert digest_tensor(FORM, lambda a, b: changed[a:b]) == by_hand(changed) != by_hand(VALUES)


def test_blocks_may_come_in_any_order_from_any_thread_and_twice() -> None:
    found = TensorDigest(FORM.n_entries)
    for start in (2 * BLOCK, BLOCK, BLOCK, 0):
        assert not found.is_complete
        block = VALUES[start : start + BLOCK]
        thread = threading.Thread(target=found.add, args=(start, block))
        thread.start()
        thread.join()
    assert found.is_complete and found.text() == by_hand(VALUES)


def test_what_spans_several_blocks_counts_as_these() -> None:
    found = TensorDigest(FORM.n_entries)
    found.add(0, VALUES)
    assert found.is_complete and found.text() == by_hand(VALUES)


def test_what_is_no_whole_block_is_passed_over() -> None:
    found = TensorDigest(FORM.n_entries)
    found.add(0, VALUES[: BLOCK - 1])
    found.add(7, VALUES[7 : 7 + BLOCK])
    found.add(2 * BLOCK, VALUES[2 * BLOCK :])
    assert not found.is_complete


def test_an_empty_tensor_has_a_digest() -> None:
    assert digest_tensor(Form("F32", (0, 3)), read) == TensorDigest(0).text()


def test_a_models_digest_depends_on_names_forms_and_values_and_on_no_order() -> None:
    forms = {"a": Form("F32", (2, 3)), "b": Form("I64", ())}
    known = {"a": "1", "b": "2"}
    lines = "a\0F32\x002,3\x001\nb\0I64\0\x002\n"
    expected = digest_model(forms, known)
    assert expected == f"{digests.KIND}:{xxhash.xxh3_128(lines.encode()).hexdigest()}"
    assert digest_model(dict(reversed(forms.items())), known) == expected
    others = [
        digest_model({**forms, "a": Form("F32", (3, 2))}, known),
        digest_model({**forms, "a": Form("I32", (2, 3))}, known),
        digest_model(forms, {**known, "b": "3"}),
        digest_model({"a": forms["a"]}, known),
        digest_model({"c": forms["a"], "b": forms["b"]}, {"c": "1", "b": "2"}),
    ]
    assert len({expected, *others}) == 6

"""Text columns -> word ids in order, and bags of words and word pairs with tf-idf weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

D = TypeVar("D", np.int32, np.float32)

PADDING, BREAK, UNKNOWN = 0, 1, 2
"""Word ids with a meaning of their own: nothing, the border of two columns, an unseen word."""

_FIRST_WORD = 3
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def tokenise(texts: Sequence[str | None]) -> list[str]:
    """The lower-case words of one row's text columns, an empty string between two columns."""
    words: list[str] = []
    for i, text in enumerate(texts):
        if i:
            words.append("")
        words.extend(_WORD.findall((text or "").lower()))
    return words


@dataclass(frozen=True)
class Vocabulary:
    """The words and word pairs of the training rows, the more frequent ones first.

    Args:
        words: Words, without the three special ids.
        pairs: Pairs of neighbouring words of one column, joined by a space.
        idf: Inverse document frequency of each word, then of each pair:
            `ln((1 + rows) / (1 + rows with it)) + 1`. [len(words) + len(pairs)]
        length: Words of a row beyond this many are not read in order; the bag reads all of them.
    """

    words: tuple[str, ...]
    pairs: tuple[str, ...]
    idf: NDArray[np.float32]
    length: int

    @property
    def n_words(self) -> int:
        """Number of word ids, special ones included."""
        return _FIRST_WORD + len(self.words)

    @property
    def n_bag(self) -> int:
        """Number of bag ids: padding, words, pairs."""
        return 1 + len(self.words) + len(self.pairs)

    @cached_property
    def _word_ids(self) -> dict[str, int]:
        return {"": BREAK} | {w: i for i, w in enumerate(self.words, _FIRST_WORD)}

    @cached_property
    def _bag_ids(self) -> dict[str, int]:
        return {term: i for i, term in enumerate((*self.words, *self.pairs), 1)}

    def sequences(self, rows: Iterable[list[str]]) -> NDArray[np.int32]:
        """Word ids in order, padded with 0 at the end. -> [n, length]"""
        ids = self._word_ids
        return _padded(
            [[ids.get(w, UNKNOWN) for w in row[: self.length]] for row in rows], np.int32
        )

    def bags(self, rows: Iterable[list[str]]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Distinct known terms of each row and their tf-idf weights, of unit length.

        The weight of a term is `(1 + ln count) * idf`, divided by the row's Euclidean norm; it is
        scikit-learn's `TfidfVectorizer(sublinear_tf=True)` on this vocabulary.

        Returns:
            Term ids and weights, both padded with 0. [n, most terms of a row]
        """
        ids = self._bag_ids
        terms: list[list[int]] = []
        weights: list[list[float]] = []
        for row in rows:
            counts = Counter(ids[t] for t in _terms(row) if t in ids)
            known = np.fromiter(counts.keys(), np.int64, len(counts))
            weight = 1.0 + np.log(np.fromiter(counts.values(), np.float64, len(counts)))
            weight *= self.idf[known - 1]
            norm = float(np.linalg.norm(weight)) or 1.0
            terms.append(known.tolist())
            weights.append((weight / norm).tolist())
        return _padded(terms, np.int32), _padded(weights, np.float32)


def fit_vocabulary(
    rows: Sequence[list[str]],
    *,
    max_words: int = 20_000,
    max_pairs: int = 30_000,
    min_rows: int = 3,
    max_length: int = 128,
) -> Vocabulary:
    """Collect the words and word pairs that occur in at least `min_rows` of the rows.

    Args:
        rows: What `tokenise` gives, one list a row.
        max_words: At most this many words, the most frequent ones.
        max_pairs: At most this many pairs.
        min_rows: Rarer terms are left out.
        max_length: Upper bound of `Vocabulary.length`, which is otherwise the length of the
            longest row.
    """
    seen_words: Counter[str] = Counter()
    seen_pairs: Counter[str] = Counter()
    for row in rows:
        terms = set(_terms(row))
        seen_pairs.update(t for t in terms if " " in t)
        seen_words.update(t for t in terms if " " not in t)
    words = _frequent(seen_words, max_words, min_rows)
    pairs = _frequent(seen_pairs, max_pairs, min_rows)
    counts = [seen_words[w] for w in words] + [seen_pairs[p] for p in pairs]
    idf = np.log((1 + len(rows)) / (1 + np.asarray(counts, np.float64))) + 1
    longest = max((len(row) for row in rows), default=1)
    return Vocabulary(words, pairs, idf.astype(np.float32), max(1, min(longest, max_length)))


def _terms(row: list[str]) -> Iterator[str]:
    yield from (word for word in row if word)
    yield from (f"{a} {b}" for a, b in pairwise(row) if a and b)


def _frequent(counts: Counter[str], most: int, min_rows: int) -> tuple[str, ...]:
    # by count, then by name: the order must not depend on which row came first
    kept = sorted(((-n, term) for term, n in counts.items() if n >= min_rows))
    return tuple(term for _, term in kept[:most])


def _padded(rows: Sequence[Sequence[float]], dtype: type[D]) -> NDArray[D]:
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    out: NDArray[D] = np.zeros((len(rows), int(lengths.max(initial=1))), dtype)
    inside = np.arange(out.shape[1]) < lengths[:, None]
    out[inside] = np.fromiter((x for row in rows for x in row), dtype, int(lengths.sum()))
    return out

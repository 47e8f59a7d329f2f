from __future__ import annotations

import gzip
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from alnico.data.text import BREAK, PADDING, UNKNOWN, Vocabulary, fit_vocabulary, tokenise

ROWS = [tokenise([text]) for text in ("a good good dress", "a good fit", "a bad fit", "bad")]


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    folder = Path(__file__).parents[3] / "shared" / "data" / "text_classification"
    files = sorted(folder.glob("sls_*.tsv.gz"))
    if not files:
        pytest.skip("the shared data sets are not here")
    lines = [gzip.decompress(file.read_bytes()).decode().split("\n") for file in files]
    return [line.split("\t", 1)[1] for part in lines for line in part if line]


def dense(ids: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    out = np.zeros((len(ids), size))
    np.add.at(out, (np.arange(len(ids))[:, None], ids), weights)
    return out


def ours_and_theirs(vocabulary: Vocabulary, train: list[str], new: list[str]):
    def analyse(text: str) -> list[str]:
        words = tokenise([text])
        return words + [f"{a} {b}" for a, b in pairwise(words)]

    terms = [*vocabulary.words, *vocabulary.pairs]
    theirs = TfidfVectorizer(sublinear_tf=True, vocabulary=terms, analyzer=analyse).fit(train)
    ids, weights = vocabulary.bags([tokenise([text]) for text in new])
    return dense(ids, weights, vocabulary.n_bag), theirs.transform(new).toarray()


def test_bags_of_real_sentences_equal_those_of_scikit_learn(sentences: list[str]) -> None:
    train, new = sentences[::2], sentences[1::2]
    vocabulary = fit_vocabulary([tokenise([text]) for text in train])
    assert len(vocabulary.words) > 500 and len(vocabulary.pairs) > 500
    ours, theirs = ours_and_theirs(vocabulary, train, new)
    assert not ours[:, PADDING].any()
    np.testing.assert_allclose(ours[:, 1:], theirs, atol=1e-6)


def test_the_vocabulary_of_real_sentences_equals_that_of_scikit_learn(sentences: list[str]) -> None:
    words = fit_vocabulary([tokenise([text]) for text in sentences], min_rows=4).words
    theirs = CountVectorizer(min_df=4, token_pattern=r"[^\W_]+(?:'[^\W_]+)?").fit(sentences)
    assert set(words) == set(theirs.vocabulary_)


def test_words_are_lower_case_and_keep_their_apostrophe() -> None:
    assert tokenise(["Don't_buy; it's 2 SMALL!"]) == ["don't", "buy", "it's", "2", "small"]
    assert tokenise(["Größe paßt, très bien"]) == ["größe", "paßt", "très", "bien"]


def test_missing_and_empty_texts_have_no_words_but_keep_their_border() -> None:
    assert tokenise([None]) == tokenise([""]) == tokenise(["?!"]) == []
    assert tokenise([None, "a b", ""]) == ["", "a", "b", ""]


def test_the_more_frequent_terms_come_first_and_ties_go_by_name() -> None:
    vocabulary = fit_vocabulary(ROWS, min_rows=1)
    assert vocabulary.words == ("a", "bad", "fit", "good", "dress")
    assert vocabulary.pairs == ("a good", "a bad", "bad fit", "good dress", "good fit", "good good")
    again = fit_vocabulary(ROWS[::-1], min_rows=1)
    assert (again.words, again.pairs) == (vocabulary.words, vocabulary.pairs)


def test_rows_are_counted_and_not_occurrences() -> None:
    # "good" occurs three times in two rows
    idf = fit_vocabulary(ROWS, min_rows=1).idf
    expected = [math.log(5 / (1 + rows)) + 1 for rows in (3, 2, 2, 2, 1, 2, 1, 1, 1, 1, 1)]
    np.testing.assert_allclose(idf, expected, rtol=1e-6)
    assert fit_vocabulary(ROWS, min_rows=3).words == ("a",)


def test_the_bounds_keep_the_most_frequent_terms() -> None:
    vocabulary = fit_vocabulary(ROWS, min_rows=1, max_words=2, max_pairs=1)
    assert (vocabulary.words, vocabulary.pairs) == (("a", "bad"), ("a good",))
    assert (vocabulary.n_words, vocabulary.n_bag) == (3 + 2, 1 + 2 + 1)
    ids, _ = vocabulary.bags(ROWS)
    assert ids.max() == vocabulary.n_bag - 1
    assert vocabulary.sequences(ROWS).max() == vocabulary.n_words - 1


def test_the_border_of_two_columns_makes_no_pair() -> None:
    rows = [tokenise(["nice red", "coat here"])] * 3
    vocabulary = fit_vocabulary(rows)
    assert vocabulary.pairs == ("coat here", "nice red")
    assert vocabulary.sequences(rows)[0].tolist() == [5, 6, BREAK, 3, 4]


def test_sequences_are_padded_at_the_end_and_cut_at_the_length() -> None:
    vocabulary = fit_vocabulary(ROWS, min_rows=1, max_length=3)
    ids = vocabulary.sequences([*ROWS, tokenise([None]), tokenise(["a strange fit indeed"])])
    assert ids.dtype == np.int32
    assert ids.tolist() == [
        [3, 6, 6],
        [3, 6, 5],
        [3, 4, 5],
        [4, PADDING, PADDING],
        [PADDING, PADDING, PADDING],
        [3, UNKNOWN, 5],
    ]


def test_the_length_is_that_of_the_longest_row_within_the_bound() -> None:
    assert fit_vocabulary(ROWS).length == 4
    assert fit_vocabulary(ROWS, max_length=2).length == 2
    assert fit_vocabulary([[], []]).length == 1


def test_a_bag_reads_beyond_the_length() -> None:
    long = ["a"] * 50 + ["dress"]
    vocabulary = fit_vocabulary([long] * 3, max_length=4)
    ids, weights = vocabulary.bags([long])
    assert vocabulary.sequences([long]).shape == (1, 4)
    assert set(ids[0].tolist()) == {1, 2, 3, 4}  # a, dress, "a a", "a dress"
    assert weights[0, 0] / weights[0, 1] == pytest.approx(1 + math.log(50))


def test_bags_have_unit_length_and_rows_without_known_terms_are_empty() -> None:
    vocabulary = fit_vocabulary(ROWS, min_rows=1)
    ids, weights = vocabulary.bags([*ROWS, [], tokenise(["unheard of"])])
    assert ids.dtype == np.int32 and weights.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), [1, 1, 1, 1, 0, 0], atol=1e-6)
    assert not ids[4:].any()
    assert ((ids == PADDING) == (weights == 0)).all()


def test_texts_without_a_single_frequent_word_still_make_arrays() -> None:
    vocabulary = fit_vocabulary([["once"], ["twice"], []])
    assert (vocabulary.words, vocabulary.pairs) == ((), ())
    assert (vocabulary.n_words, vocabulary.n_bag) == (3, 1)
    assert vocabulary.sequences([["once"], []]).tolist() == [[UNKNOWN], [PADDING]]
    ids, weights = vocabulary.bags([["once"], []])
    assert ids.shape == weights.shape == (2, 1) and not ids.any() and not weights.any()


def test_no_rows_make_empty_arrays() -> None:
    vocabulary = fit_vocabulary(ROWS, min_rows=1)
    assert vocabulary.sequences([]).shape == (0, 1)
    assert vocabulary.bags([])[0].shape == (0, 1)

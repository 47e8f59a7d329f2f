"""What a method asks about a whole tensor of every model, found in passes over its blocks."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from alnico.merging.blocks import Blocks
from alnico.tensors.kernels.job import LARGEST, LOW_BITS, N_BINS, What
from alnico.tensors.tape import Ask, Tape

SMALL = 1 << 15
"""So few entries are sorted, not counted."""

SAMPLE = 8192
N_SAMPLES = 16, 256
"""So many pieces of so many entries are looked at for a guess: one of each block, within limits."""

LOW_MASK = (1 << LOW_BITS) - 1

FEW_SIZES = 1 << 12
"""So few magnitudes are sorted sooner than they are counted."""

FEW_CANDIDATES = 1 << 23
"""So many entries of all models are listed, with their places; more are counted once again."""


def answer(ask: Ask, tape: Tape, blocks: Blocks) -> np.ndarray:
    """The answer to a question of a method that is traced on a tape.

    Returns:
        `gram`: [k, k]; `totals`: [m, k]; `cuts`: [k, 2], of the smallest magnitude that stays the
        bits, and the place of the last entry of that magnitude that stays.
    """
    if ask.what == "gram":
        return _gram(ask, tape, blocks)
    if ask.what == "totals":
        return _totals(ask, tape, blocks)
    return _Cuts(tape, ask.of[0], blocks).find(ask.n_kept)


def _gram(ask: Ask, tape: Tape, blocks: Blocks) -> np.ndarray:
    shape = (tape.k, tape.k)
    parts = blocks.run("gram", tape, ask.of, lambda _, n: [np.zeros(shape)])
    found = _added([part[0] for part in parts], shape)
    found += np.triu(found, 1).T
    return found


def _totals(ask: Ask, tape: Tape, blocks: Blocks) -> np.ndarray:
    """Of a step that is one for all models the first column alone holds a sum."""
    shape = (len(ask.of), tape.k)
    parts = blocks.run("totals", tape, ask.of, lambda _, n: [np.zeros(shape)])
    found = _added([part[0] for part in parts], shape)
    for row, step in zip(found, ask.of, strict=True):
        if not tape.steps[step].per_model:
            row[:] = row[0]
    return found


def _added(parts: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(shape)
    for part in parts:  # in the order of the blocks, so that threads change nothing
        found += part
    return found


class _Cuts:
    """Where each model's largest entries end; magnitudes are ordered as their bits are.

    A few entries are sorted. Of more, some are looked at to guess between which magnitudes the cut
    lies; one pass counts what is above and lists what is between. Where the guess was wrong, a
    pass counts all by their high bits, and that says in which bin the cut lies. A second lists what
    is in it, or counts it by its low bits where it is much; then a third finds the block of the
    last draw.
    """

    def __init__(self, tape: Tape, step: int, blocks: Blocks) -> None:
        self.tape, self.step, self.blocks = tape, step, blocks
        self.width = tape.k if tape.steps[step].per_model else 1

    def find(self, n_kept: Sequence[int]) -> np.ndarray:
        """[width, 2]: the bits of the cut, the last place at it. Nothing or all may stay."""
        n = self.blocks.n
        inner = [j for j, kept in enumerate(n_kept) if 0 < kept < n]
        cuts = np.array([[0, n - 1] if kept else [LARGEST + 1, -1] for kept in n_kept], np.int64)
        if not inner:
            return cuts
        kept = np.clip(np.array(n_kept), 1, n)
        found = self._sorted(kept) if n <= SMALL else self._guessed(kept)
        cuts[inner] = (self._counted(kept) if found is None else found)[inner]
        return cuts

    def _sorted(self, kept: np.ndarray) -> np.ndarray:
        (sizes,) = self._sizes([(0, self.blocks.n)])
        places = np.arange(self.blocks.n)
        return np.stack([_last(row, places, n) for row, n in zip(sizes, kept, strict=True)])

    def _guessed(self, kept: np.ndarray) -> np.ndarray | None:
        """From a window around the cut that a sample gives; None if the cut is not in it."""
        if self._ranks():  # a sample is not of whole rows
            return None
        n = self.blocks.n
        n_samples = int(np.clip(n // self.blocks.size, *N_SAMPLES))
        starts = np.linspace(0, n - SAMPLE, n_samples).astype(int).tolist()
        sampled = np.stack(self._sizes([(at, at + SAMPLE) for at in starts]), 1)
        shares = kept / n
        window = np.array([_around(s, share) for s, share in zip(sampled, shares, strict=True)])
        between = [np.mean((s >= w[0]) & (s <= w[1])) for s, w in zip(sampled, window, strict=True)]
        if sum(between) * n > FEW_CANDIDATES:
            return None
        parts = self._window(window)
        found = np.empty((self.width, 2), np.int64)
        for j in range(self.width):
            left = int(kept[j]) - sum(part.above[j] for part in parts)
            sizes, places = _joined(parts, j)
            if not 0 < left <= len(sizes):
                return None
            found[j] = _last(sizes, places, left)
        return found

    def _counted(self, kept: np.ndarray) -> np.ndarray:
        bins, left, n_inside = _nth(self._counts("histogram", N_BINS), kept)
        low = bins << LOW_BITS
        if n_inside.sum() <= FEW_CANDIDATES:
            parts = self._window(np.stack([low, low | LOW_MASK], 1))
            return np.stack([_last(*_joined(parts, j), left[j]) for j in range(self.width)])
        inside, left, _ = _nth(self._counts("refine", 1 << LOW_BITS, bins), left)
        return np.stack([low | inside, self._places(low | inside, left)], 1)

    def _sizes(self, spans: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """The magnitudes of all entries of some spans, [width, n] each."""
        width = self.width
        found = self.blocks.run(
            "sizes",
            self.tape,
            (self.step,),
            lambda _, n: [np.empty((width, n), np.uint32)],
            spans=spans,
        )
        return [sizes for (sizes,) in found]

    def _counts(self, what: What, n_bins: int, wanted: np.ndarray | None = None) -> np.ndarray:
        """[width, n_bins]; each thread counts for itself."""
        counts: dict[int, np.ndarray] = {}

        def mine(start: int, n: int) -> Sequence[np.ndarray]:
            key = threading.get_ident()
            if key not in counts:
                counts[key] = np.zeros((self.width, n_bins), np.int64)
            return [counts[key]]

        self.blocks.run(what, self.tape, (self.step,), mine, wanted=wanted)
        found = np.zeros((self.width, n_bins), np.int64)
        for each in counts.values():
            found += each
        return found

    def _places(self, cuts: np.ndarray, left: np.ndarray) -> np.ndarray:
        """The place of the last entry at each cut that stays."""
        spans = self.blocks.spans(whole_rows=self._ranks())
        step, width = (self.step,), self.width
        parts = self.blocks.run(
            "count", self.tape, step, lambda _, n: [np.zeros(width, np.int64)], wanted=cuts
        )
        reached = np.cumsum([part[0] for part in parts], axis=0)
        found = np.empty(width, np.int64)
        for j in range(width):
            block = int(np.searchsorted(reached[:, j], left[j]))
            before = reached[block - 1, j] if block else 0
            (part,) = self._window(np.stack([cuts, cuts], 1), [spans[block]])
            found[j] = part.places[j][left[j] - before - 1]
        return found

    def _ranks(self) -> bool:
        return any(step.op == "rank" for step in self.tape.steps[: self.step + 1])

    def _window(
        self, window: np.ndarray, spans: Sequence[tuple[int, int]] | None = None
    ) -> list[_Part]:
        """What is between two magnitudes, of each span; these are short where models are many."""
        workers, width = self.blocks.workers, self.width
        spans = spans or self.blocks.spans(whole_rows=self._ranks(), parts=-(-width // 4))

        def room(start: int, n: int) -> Sequence[np.ndarray]:
            shape, m = (width, n), width * n
            sizes = workers.buffer("sizes", m, np.uint32).reshape(shape)
            places = workers.buffer("places", m, np.int32).reshape(shape)
            return sizes, places, np.zeros(width, np.int64), np.zeros(width, np.int64)

        def take(start: int, found: Sequence[np.ndarray], seen: object) -> _Part:
            sizes, places, n, above = found
            return _Part(
                [sizes[j, : n[j]].copy() for j in range(width)],
                [places[j, : n[j]] + np.int64(start) for j in range(width)],
                above,
            )

        step = (self.step,)
        return self.blocks.run(
            "window", self.tape, step, room, wanted=window, spans=spans, after=take
        )


class _Part(NamedTuple):
    """What one block has in a window: magnitudes and places of each model, how many are above."""

    sizes: list[np.ndarray]
    places: list[np.ndarray]
    above: np.ndarray


def _joined(parts: Sequence[_Part], model: int) -> tuple[np.ndarray, np.ndarray]:
    """The magnitudes and the places of one model, of all blocks."""
    sizes = np.concatenate([part.sizes[model] for part in parts])
    return sizes, np.concatenate([part.places[model] for part in parts])


def _last(sizes: np.ndarray, places: np.ndarray, n: int) -> np.ndarray:
    """The n-th largest magnitude, and the place of the last of its equals among the n. -> [2]"""
    cut = _nth_largest(sizes, n)
    left = n - np.count_nonzero(sizes > cut)
    return np.array([cut, places[sizes == cut][left - 1]], np.int64)


def _nth_largest(sizes: np.ndarray, n: int) -> int:
    """The n-th largest of some whole numbers: many are counted in ever smaller bins, few sorted.

    `numpy.partition` takes many times longer where few values are distinct, as in bfloat16.
    """
    low, high = int(sizes.min()), int(sizes.max())
    while low < high:
        if len(sizes) <= FEW_SIZES:
            return int(np.sort(sizes)[-n])
        shift = max((high - low).bit_length() - LOW_BITS, 0)
        bins = (sizes - np.uint32(low)) >> np.uint32(shift)
        (index,), (n, *_), _ = _nth(np.bincount(bins)[None], np.array([n]))
        low += int(index) << shift
        high = low + (1 << shift) - 1
        sizes = sizes[bins == index]
    return low


def _around(sampled: np.ndarray, share: float) -> tuple[int, int]:
    """Two magnitudes between which that above which `share` of all lie is, in all likelihood.

    Neighbours are alike, so that the error of the sample is judged from how its pieces differ.

    sampled: [pieces, n]
    """
    n = sampled.size
    low = sampled.min()
    shift = np.uint32(max(int(sampled.max() - low).bit_length() - LOW_BITS, 0))
    above = np.bincount((sampled - low).ravel() >> shift)[::-1].cumsum()[::-1]

    def bin_of(part: float) -> int:
        """The bin of the magnitude above which that part of the sample lies."""
        return int(np.count_nonzero(above > part * n)) - 1

    def edge(index: int) -> int:
        return int(low) + (index << int(shift))

    apart = (sampled >= edge(bin_of(share))).mean(1).std() / math.sqrt(len(sampled))
    margin = 4 * apart + 16 / n
    largest = LARGEST if share < margin else edge(bin_of(share - margin) + 1) - 1
    return (0 if share + margin >= 1 else edge(bin_of(share + margin))), min(largest, LARGEST)


def _nth(counts: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bin of the n-th largest, which it is in there from the first, and how many are there.

    counts: [k, bins], n: [k] -> [k] each
    """
    models = np.arange(len(counts))
    above = counts[:, ::-1].cumsum(1)[:, ::-1]
    bins = (above >= n[:, None]).sum(1) - 1
    inside = counts[models, bins]
    return bins, n - (above[models, bins] - inside), inside

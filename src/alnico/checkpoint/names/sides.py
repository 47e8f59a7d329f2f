"""Before or after the layers: embeddings and what feeds them, or the final norm and heads."""

from __future__ import annotations

import re
from itertools import takewhile

_FEEDS = re.compile(r"(vision_\w+|visual|audio_\w+|image_\w+|encoder|\w*projector|\w*connector)\.")
_HEADS = re.compile(
    r"(^|\.)cls\.|head|classifier|score|pooler|predict|logits|embed_out|proj_out|final|ln_f"
)
_ENTRY = re.compile(r"embed|wte|wpe|patch|token|posit|shared|stem|conv1|feature_|project_in")
_ENDS = re.compile(r"norm|ln_|decoder|output|projection")


def is_before(name: str, stack: str, *, otherwise: bool) -> bool:
    """Whether a tensor comes before a stack of layers, by the words of its name.

    Args:
        name: Of a tensor outside the stack.
        stack: The prefix of the stack.
        otherwise: What to say where no word does, e.g. by the order in the file.
    """
    pairs = zip(name.split("."), stack.split("."), strict=False)
    n_shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    rest = ".".join(name.split(".")[n_shared:])
    if _FEEDS.match(rest):
        return True
    if _HEADS.search(rest):
        return False
    if _ENTRY.search(rest):
        return True
    return not _ENDS.search(rest) and otherwise

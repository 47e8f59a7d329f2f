"""Models with different tokenizers, merged token by token, and the tokenizer of the result."""

from alnico.merging.vocabulary.asked import TokenSource, Vocabulary
from alnico.merging.vocabulary.prepare import Prepared, prepare

__all__ = ["Prepared", "TokenSource", "Vocabulary", "prepare"]

"""Ask and tell over a space of choices: a study that can go on where it stopped."""

from alnico.searching.space import Between, Choice, Space, Value
from alnico.searching.study import Study, Trial, best_of, search

__all__ = ["Between", "Choice", "Space", "Study", "Trial", "Value", "best_of", "search"]

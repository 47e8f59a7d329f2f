"""The kinds of rows: an open registry of ways to turn trained members into candidates.

A kind is a function from the `Bench` to rows. To add one, write the function and
`@kind("name")` above it; it is then tried in every fit, timed, calibrated, ranked and saved.
They are tried in the order of their registration: a kind sees the rows of those before it.
"""

from alnico.fitting.kinds import singles as singles  # isort: skip
from alnico.fitting.kinds import soups as soups  # isort: skip
from alnico.fitting.kinds import joined as joined  # isort: skip
from alnico.fitting.kinds import pruned as pruned  # isort: skip
from alnico.fitting.kinds import distilled as distilled  # isort: skip
from alnico.fitting.kinds._bench import Bench, kind, kinds

__all__ = ["Bench", "kind", "kinds"]

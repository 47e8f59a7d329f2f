"""The time that a fit may take, and what of it is left for what."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

MEMBERS_SHARE = 0.6
"""By this share of the limit members are trained; the rest is for what is made of them."""

FUSIONS_SHARE = 0.7
"""By this share fusions are searched."""

STUDENTS_SHARE = 0.85
"""By this share networks are pruned and distilled; the rest is for the refit and the test part."""


@dataclass(frozen=True)
class Clock:
    """Counts from its making.

    Args:
        limit: Seconds; None is no limit.
    """

    limit: float | None
    began: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.began

    def has(self, seconds: float = 0.0, *, share: float = 1.0) -> bool:
        """Whether something that takes this long still fits into a share of the limit."""
        return self.limit is None or self.elapsed + seconds < share * self.limit

    def deadline(self, share: float, *, of: float = MEMBERS_SHARE) -> float | None:
        """The `time.monotonic()` by which `share` of what is left of a part is used up.

        Args:
            share: In [0, 1].
            of: The part, as the share of the limit by which it ends.
        """
        if self.limit is None:
            return None
        left = max(0.0, of * self.limit - self.elapsed)
        return time.monotonic() + share * left

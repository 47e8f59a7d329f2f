"""The time that a fit may take, and what of it is left for what."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

MEMBERS_SHARE = 0.6
"""Of the limit; the rest is for fusions, the refit and the test part."""


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

    def has(self, seconds: float) -> bool:
        """Whether something that takes this long still fits."""
        return self.limit is None or self.elapsed + seconds < self.limit

    def has_for_members(self, seconds: float = 0.0) -> bool:
        """Whether training that takes this long still fits into the members' share."""
        return self.limit is None or self.elapsed + seconds < MEMBERS_SHARE * self.limit

    def deadline(self, share: float) -> float | None:
        """The `time.monotonic()` by which `share` of what is left for members is used up."""
        if self.limit is None:
            return None
        left = max(0.0, MEMBERS_SHARE * self.limit - self.elapsed)
        return time.monotonic() + share * left

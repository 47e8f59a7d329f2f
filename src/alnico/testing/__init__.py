"""Public contracts: what a plug-in of each kind must keep. Each check raises AssertionError."""

from __future__ import annotations

from alnico.testing.methods import check_method
from alnico.testing.readings import Dtypes, check_readings
from alnico.testing.structures import check_structure

__all__ = ["Dtypes", "check_method", "check_readings", "check_structure"]

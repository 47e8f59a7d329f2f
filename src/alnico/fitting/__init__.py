"""From a table to a leaderboard of single networks and their fusions, and the run folder of it."""

from alnico.fitting.fit import fit_table
from alnico.fitting.fitted import Fitted
from alnico.fitting.kinds import Bench, kind, kinds
from alnico.fitting.options import Options, as_tuple, seconds
from alnico.fitting.record import predictor, save_run
from alnico.fitting.rows import Row
from alnico.fitting.store import Store

__all__ = [
    "Bench",
    "Fitted",
    "Options",
    "Row",
    "Store",
    "as_tuple",
    "fit_table",
    "kind",
    "kinds",
    "predictor",
    "save_run",
    "seconds",
]
